"""Jailbreak, injection and toxicity by written rules: what the rails use where there is no classifier.

``_rules.yaml`` has, for each head, patterns with a weight: how sure one alone makes. Several add up as independent signs do: 1 - (1 - w)(1 - w')…
They know stock phrases. They are a floor to stand on, not a defence against someone who tries.
"""

from __future__ import annotations

import re
import zlib
from functools import cache
from pathlib import Path
from typing import NamedTuple

from charter.core.config import read_yaml
from charter.core.normalise.fold import fold
from charter.core.rows import Conversation, Verdict
from charter.guard.rails._said import say

_FILE = Path(__file__).with_name("_rules.yaml")
#: Characters of one text that are read at a time; neighbours overlap so that nothing hides on a border.
WINDOW, OVERLAP = 20_000, 500


class Rule(NamedTuple):
    """A sign. ``why`` is shown; the pattern is searched in folded text: lower case, plain letters, single spaces."""

    why: str
    weight: float
    pattern: re.Pattern[str]


def heads() -> list[str]:
    return sorted(_table())


@cache
def _table() -> dict[str, tuple[Rule, ...]]:
    data = read_yaml(_FILE).data
    return {head: tuple(Rule(why, float(w), re.compile(pattern)) for why, w, pattern in rules) for head, rules in data.items()}


class Rules:
    """The rules of one head as a judge: reads the final reply if there is one, else the last user message."""

    name = "rules"

    def __init__(self, head: str) -> None:
        self._rules = _table()[head]
        self.version = f"1.{zlib.crc32(_FILE.read_bytes()):08x}"

    def __call__(self, conversation: Conversation) -> Verdict:
        text = conversation.reply if conversation.reply is not None else conversation.prompt
        plain = fold(text).text
        if not plain.strip():
            return say(conversation, self.name, self.version, "failed", reason="nothing to read")
        score, signs = self.score(plain)
        return say(conversation, self.name, self.version, "unsafe" if score >= 0.5 else "safe", score=score, reason=", ".join(signs))

    def score(self, plain: str) -> tuple[float, list[str]]:
        """Score of a folded text and the signs found, strongest first."""
        pieces = [plain[at : at + WINDOW] for at in range(0, max(1, len(plain)), WINDOW - OVERLAP)]
        signs = {rule.why: rule.weight for rule in self._rules if any(rule.pattern.search(piece) for piece in pieces)}
        left = 1.0
        for weight in signs.values():
            left *= 1.0 - weight
        return round(1.0 - left, 6), sorted(signs, key=lambda why: -signs[why])
