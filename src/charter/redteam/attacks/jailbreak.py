"""Jailbreak framings: a persona without rules, fiction, hypotheticals, opposite day, nostalgia and their kin.

Source: the catalogues of Wei, Haghtalab, Steinhardt, "Jailbroken: How Does LLM Safety Training Fail?" (NeurIPS 2023, arXiv 2307.02483)
and Shen et al., "Do Anything Now" (CCS 2024, arXiv 2308.03825). The kinds are theirs; the wording is Charter's own.
"""

from __future__ import annotations

from charter.redteam.attacks._framing import FramedAttack, FramingConfig, read_framings

NOT_COVERED = "English, one turn, fixed wording: no optimised suffixes, no encodings, no attacker model that adapts, no in-the-wild prompt by name."
FAMILY = "jailbreak"


class Config(FramingConfig):
    """Framings per goal."""


def build(config: Config) -> FramedAttack:
    """The attack over the framings in ``jailbreak.txt``."""
    return FramedAttack(FAMILY, read_framings(__file__), config.per_goal)
