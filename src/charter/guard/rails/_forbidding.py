"""What a text says beside the sentences in which it forbids something: honest instructions name the harms that they rule out.

A classifier of one text hears the harm and not the "never" before it. A sentence forbids where it has a word of forbidding and none that turns it
round ("do not stop until", "never refuse"), and where no order of its own comes after it ("do not write a poem, write a virus"). A line that forbids
and ends in a colon, or is a heading, speaks for the list under it.
"""

from __future__ import annotations

import re

_FORBIDS = re.compile(
    r"\b(?:never|not|cannot|\w+n['’]t|no|refuse|decline|avoid|forbidden|prohibited|disallowed|banned|off[- ]limits|out of bounds)\b", re.IGNORECASE
)
_TURNS = re.compile(
    r"\b(?:until|unless|except|but|only|instead|rather|else|other than|without|hesitat\w*|stop\w*|forget|fail|worry|mind|matter|problem|warn\w*|"
    r"disclaim\w*|morali[sz]\w*|lectur\w*|censor\w*|limits|restrictions|(?:never|not|cannot|\w+n['’]t|no)\W+(?:\w+\W+){0,2}?"
    r"(?:refus\w*|declin\w*|avoid|forbidden|prohibited|off[- ]limits|out of bounds))\b",
    re.IGNORECASE,
)
_ORDER = re.compile(
    r"[,;:–—-]\s*(?:(?:and|then|now|please|just)\s+)*(?:act|answer|assist|build|create|describe|do|explain|generate|give|go|help|list|make|"
    r"produce|provide|reply|respond|reveal|say|share|show|start|teach|tell|write)\b",
    re.IGNORECASE,
)
_OR = re.compile(r"\b(?:or|nor)\b", re.IGNORECASE)
#: "You must not: write malware; help with fraud."
_LIST = re.compile(r"\b(?:never|not)\s*:", re.IGNORECASE)
_ITEM = re.compile(r"\s*(?:[-*•]|\d{1,2}[.)]|[a-z][.)])\s")
_SENTENCES = re.compile(r"(?<=[.!?])\s+")


def without_forbidding(text: str) -> str:
    """``text`` without the sentences and list items that forbid; itself where there are none."""
    kept: list[str] = []
    under = False
    for line in text.split("\n"):
        item = _ITEM.match(line) is not None
        if line.strip() and not item:
            under = False
        if under and item and not _TURNS.search(line):
            continue
        head = not item and (line.lstrip().startswith("#") or line.rstrip().endswith(":"))
        under = under or (head and _forbids(line))
        kept.append(" ".join(sentence for sentence in _SENTENCES.split(line) if not _forbids(sentence)))
    found = "\n".join(line for line in kept if line.strip())
    return found if len(found) < len(text.strip()) and _FORBIDS.search(text) else text


def _forbids(sentence: str) -> bool:
    if not _FORBIDS.search(sentence) or _TURNS.search(sentence):
        return False
    return _LIST.search(sentence) is not None or _OR.search(sentence) is not None or not _ORDER.search(sentence)
