"""Cheap judges first, the dear one only where they are unsure: what the first sure judge says.

A step that is unsure or failed hands on; so does one whose score lies in ``unsure_between``. The last step's verdict stands, also when it is
unsure or failed. ``usage_of`` says how often each step was asked and what that saved against always asking the last.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from pydantic import Field

from charter.core.config import Config as BaseConfig
from charter.core.errors import InputError
from charter.core.rows import Conversation, Metric, Verdict
from charter.core.shapes import Judge
from charter.core.stats import rate
from charter.judges._algebra import Combined
from charter.judges._judging import judge_conversations
from charter.judges._spec import SomeSpecs, build_judges

NOT_COVERED = "What a cheap step is wrong about and sure of: it is never asked again. Measure the whole cascade, not its last step."
_BY = re.compile(r"step (\d+) of (\d+), ")


class Config(BaseConfig):
    """The steps, cheapest first."""

    judges: SomeSpecs = Field(default=(), description="two or more judges, cheapest first")
    unsure_between: tuple[float, float] | None = Field(default=None, description="scores of a step that count as unsure, such as [0.2, 0.8]")
    costs: tuple[float, ...] = Field(default=(), description="cost of one question to each step, in any one unit; empty: what it saves is not told")


class Usage(NamedTuple):
    """``asked`` and ``decided`` by step. ``escalated`` is the share handed on by the first step. Costs are those of the settings: time is no measure
    of them, for a step may find what an earlier one worked out. ``saved`` is the share of the cost of asking the last step about everything, None
    where no cost is known."""

    asked: tuple[int, ...]
    decided: tuple[int, ...]
    escalated: Metric
    cost: float | None
    saved: float | None


class Cascade(Combined):
    """The verdict of the first step that is sure."""

    kind = "cascade"
    keeps_heads_of = "all"
    mixes = "last"  # its steps answer the last one's question
    tested = ("step", "its cheap steps decide these: leave one out, or hand more on with unsure_between: [0.1, 0.9]")

    def __init__(self, parts: Sequence[Judge], config: Config) -> None:
        super().__init__(parts, config.model_dump(include={"unsure_between"}))
        if config.costs and len(config.costs) != len(parts):
            raise InputError(f"cascade: {len(config.costs)} costs for {len(parts)} judges", "give one for each, or none")
        if any(not 0.0 <= cost < float("inf") for cost in config.costs):
            raise InputError(
                f"cascade: costs: {', '.join(f'{cost:g}' for cost in config.costs)}: a cost is a number from 0 on",
                "cascade: {judges: […], costs: [1, 20]}",
            )
        low, high = config.unsure_between or (0.0, 1.0)
        if not 0.0 <= low <= high <= 1.0:
            raise InputError(f"cascade: unsure_between: [{low:g}, {high:g}] is no stretch of scores from 0 to 1", "unsure_between: [0.2, 0.8]")
        self._config = config
        self.costs = config.costs

    def __call__(self, conversation: Conversation) -> Verdict:
        return self.batch([conversation])[0]

    def batch(self, conversations: Sequence[Conversation]) -> list[Verdict]:
        """Step by step: each step is asked about what is left, in one group."""
        found: dict[int, Verdict] = {}
        left = list(range(len(conversations)))
        for number, part in enumerate(self.parts):
            verdicts = judge_conversations(part, [conversations[i] for i in left])
            last = number == len(self.parts) - 1
            for i, verdict in zip(left, verdicts, strict=True):
                if last or not self._unsure(verdict):
                    found[i] = self._own(verdict, number)
            left = [i for i in left if i not in found]
            if not left:
                break
        return [found[i] for i in range(len(conversations))]

    def _unsure(self, verdict: Verdict) -> bool:
        band = self._config.unsure_between
        inside = band is not None and verdict.score is not None and band[0] < verdict.score < band[1]
        return verdict.outcome in ("unsure", "failed") or inside

    def _own(self, verdict: Verdict, number: int) -> Verdict:
        reason = f"step {number + 1} of {len(self.parts)}, {verdict.judge}@{verdict.judge_version}"
        update = {"judge": self.name, "judge_version": self.version, "reason": f"{reason}: {verdict.reason}" if verdict.reason else reason}
        return verdict.model_copy(update=update)

    def usage_of(self, verdicts: Iterable[Verdict]) -> Usage:
        """Over verdicts of this cascade, stored ones included."""
        places = [found for verdict in verdicts if verdict.judge == self.name and (found := _BY.match(verdict.reason))]
        counted = Counter(int(found[1]) for found in places)
        return usage([counted[number] for number in range(1, len(self.parts) + 1)], self.costs)


def usage(decided: Sequence[int], costs: Sequence[float]) -> Usage:
    """What each step decided, as usage; ``costs`` of one question to each step, () where they are not known."""
    total = sum(decided)
    asked = tuple(sum(decided[number:]) for number in range(len(decided)))
    cost = sum(n * each for n, each in zip(asked, costs, strict=True)) if costs else None
    always = total * costs[-1] if costs else 0.0
    saved = 1 - cost / always if cost is not None and always else None
    return Usage(asked, tuple(decided), rate("escalated", total - decided[0], total), cost, saved)


def build(config: Config) -> Cascade:
    """Raises InputError for a step that cannot be built."""
    return Cascade(build_judges(config.judges), config)
