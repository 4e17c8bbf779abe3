"""Charter's own starter set: harmful requests, each with a harmless twin, look-alikes that stand alone, plain requests, exemplar answers.

Written for Charter (Apache-2.0). Split by seed and by topic: evaluation topics are never trained on. The part ``practice`` is more look-alikes, in
topics of their own, that are only ever trained on: adding to it changes no evaluation.
"""

from __future__ import annotations

import json
from functools import cache
from operator import itemgetter
from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from charter.core.config import Config as BaseConfig
from charter.core.errors import DataError
from charter.core.installing import RESTORE
from charter.core.rows import Conversation, Example, Source
from charter.data.care import must_drop
from charter.data.evenly import evenly
from charter.data.split import held_out_topics

NOT_COVERED = "English, single-turn, short requests only; nothing sexual about minors in any form; written by few hands, so its style is narrow."
FOLDER = Path(__file__).parent.parent / "starter"
DATASET, REVISION = "charter-starter", "2"
LICENCE = "Apache-2.0"
Part = Literal["harmful", "twin", "lookalike", "practice", "plain", "exemplars"]
#: Look-alikes stand in fewer, larger topics than pairs do, so more of them are held out.
LOOKALIKE_SHARE = 2.0


class Config(BaseConfig):
    """Which part of the set."""

    split: Literal["train", "evaluation", "all"] = "all"
    parts: tuple[Part, ...] = ("harmful", "twin", "lookalike", "plain")
    seed: int = 0
    evaluation_share: float = Field(default=0.2, gt=0.0, lt=1.0)
    limit: int | None = Field(default=None, ge=1, description="at most this many pairs, spread evenly over the hazards")
    first: tuple[str, ...] = Field(default=(), description="pairs (hazard/number) that a limit takes before all others")
    lookalike_limit: int | None = Field(default=None, ge=0)
    practice_limit: int | None = Field(default=None, ge=0)
    plain_limit: int | None = Field(default=None, ge=0)


def build(config: Config) -> list[Example]:
    """Examples in file order. ``target`` holds the exemplar answer where one is written. Raises DataError if a shipped file is damaged."""
    there = [row for row in _pairs() if _wanted(config, row["hazard"], row["topic"])]
    first = frozenset(config.first)
    pairs = evenly(there, itemgetter("hazard"), config.limit, first=lambda row: row["pair"] in first)
    examples: list[Example] = []
    for row in pairs:
        if "harmful" in config.parts:
            examples.append(_example(row, "harmful", row["harmful"], True, row["refusal"]))
        if "twin" in config.parts:
            examples.append(_example(row, "twin", row["safe"], False, None))
    if "lookalike" in config.parts:
        lookalikes = [row for row in _lookalikes() if _wanted(config, _kinds()[row["topic"]], row["topic"])]
        examples += [_example(row, "lookalike", row["prompt"], False, None) for row in evenly(lookalikes, itemgetter("kind"), config.lookalike_limit)]
    if "practice" in config.parts and config.split != "evaluation":
        examples += [_practice(row) for row in evenly(_read("practice.jsonl"), itemgetter("kind"), config.practice_limit)]
    if "plain" in config.parts:
        plain = [row for row in _plain() if _wanted(config, "plain", row["topic"])]
        examples += [_example(row, "plain", row["prompt"], False, None) for row in evenly(plain, itemgetter("topic"), config.plain_limit)]
    if "exemplars" in config.parts and config.split != "evaluation":
        examples += [_exemplar(row) for row in _read("exemplars.jsonl")]
    return examples


def _wanted(config: Config, group: str, topic: str) -> bool:
    if config.split == "all":
        return True
    held = _held(config.evaluation_share, config.seed)
    return ((group, topic) in held) == (config.split == "evaluation")


@cache
def _kinds() -> dict[str, str]:
    """Topic of look-alikes to the kind that it is drawn with: kind by kind, as pairs are hazard by hazard, so that no kind is left without a topic
    to learn from. A topic that several kinds share goes with the first."""
    return {row["topic"]: f"lookalike:{row['kind']}" for row in reversed(_lookalikes())}


@cache
def _held(share: float, seed: int) -> frozenset[tuple[str, str]]:
    topics = [(row["hazard"], row["topic"]) for row in _pairs()] + [("plain", row["topic"]) for row in _plain()]
    lookalikes = [(kind, topic) for topic, kind in _kinds().items()]
    return frozenset(held_out_topics(topics, share, seed) | held_out_topics(lookalikes, min(0.5, share * LOOKALIKE_SHARE), seed))


def _example(row: dict[str, Any], part: str, prompt: str, harmful: bool, target: str | None) -> Example:
    kind = (f"kind:{row['kind']}",) if "kind" in row else ()
    tags = (part, f"topic:{row['topic']}", *kind, *((f"pair:{row['pair']}",) if "pair" in row else ()))
    return Example(
        key=f"{row['pair']}/{part}" if "pair" in row else f"{part}/{row['row']:03d}",
        conversation=Conversation.ask(prompt),
        target=target,
        harmful=harmful,
        hazard=row.get("hazard", ""),
        tags=tags,
        source=Source(dataset=DATASET, revision=REVISION, row=f"{row['file']}:{row['row']}", licence=LICENCE),
    )


def _practice(row: dict[str, Any]) -> Example:
    found = _example(row, "lookalike", row["prompt"], False, None)
    return found.model_copy(update={"key": f"practice/{row['row']:03d}", "tags": (*found.tags, "practice")})


def _exemplar(row: dict[str, Any]) -> Example:
    return Example(
        key=f"exemplar/{row['row']:03d}",
        conversation=Conversation.ask(row["prompt"]),
        target=row["answer"],
        harmful=row["style"] != "full_help",
        hazard=row["hazard"],
        tags=("exemplar", f"style:{row['style']}", f"voice:{row['voice']}"),
        source=Source(dataset=DATASET, revision=REVISION, row=f"{row['file']}:{row['row']}", licence=LICENCE),
    )


@cache
def _pairs() -> tuple[dict[str, Any], ...]:
    rows = []
    for file in sorted((FOLDER / "pairs").glob("*.jsonl")):
        for row in _read(f"pairs/{file.name}"):
            rows.append({**row, "hazard": file.stem, "pair": f"{file.stem}/{row['row']:03d}"})
    return tuple(rows)


@cache
def _lookalikes() -> tuple[dict[str, Any], ...]:
    return tuple(_read("lookalikes.jsonl"))


@cache
def _plain() -> tuple[dict[str, Any], ...]:
    return tuple(_read("plain.jsonl"))


def _read(name: str) -> list[dict[str, Any]]:
    rows = []
    for number, line in enumerate((FOLDER / name).read_text(encoding="utf-8").splitlines(), 1):
        try:
            row = json.loads(line)
        except json.JSONDecodeError:
            raise DataError(f"{FOLDER / name}: row {number} is damaged", RESTORE) from None
        if any(must_drop(str(value)) for value in row.values()):
            raise DataError(f"{FOLDER / name}: row {number} is not a row that Charter ships", RESTORE)
        rows.append({**row, "row": number, "file": name})
    return rows
