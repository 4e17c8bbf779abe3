"""Claimed authority: the sender says that a role, a right or an approval makes the request fine.

Source: authority endorsement and misrepresentation in the persuasion taxonomy of Zeng et al., "How Johnny Can Persuade LLMs to
Jailbreak Them" (ACL 2024, arXiv 2401.06373). The wording is Charter's own.
"""

from __future__ import annotations

from charter.redteam.attacks._framing import FramedAttack, FramingConfig, read_framings

NOT_COVERED = "English, one turn, fixed wording: claims are not built up over several turns, backed by forged papers or fitted to the goal."
FAMILY = "authority"


class Config(FramingConfig):
    """Framings per goal."""


def build(config: Config) -> FramedAttack:
    """The attack over the framings in ``authority.txt``."""
    return FramedAttack(FAMILY, read_framings(__file__), config.per_goal)
