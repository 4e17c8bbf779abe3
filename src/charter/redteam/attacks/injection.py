"""Injected instructions: fake system markers, orders inside quoted documents, chat-template tokens in the user's text.

Source: Perez and Ribeiro, "Ignore Previous Prompt: Attack Techniques for Language Models" (2022, arXiv 2211.09527) and Greshake et al.,
"Not what you've signed up for" (2023, arXiv 2302.12173). The wording is Charter's own.
"""

from __future__ import annotations

from charter.redteam.attacks._framing import FramedAttack, FramingConfig, read_framings

NOT_COVERED = "English, one turn, text only: no injection through tools, web pages, files or images, and no theft of data or of the system prompt."
FAMILY = "injection"


class Config(FramingConfig):
    """Framings per goal."""


def build(config: Config) -> FramedAttack:
    """The attack over the framings in ``injection.txt``."""
    return FramedAttack(FAMILY, read_framings(__file__), config.per_goal)
