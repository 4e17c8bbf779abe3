"""Pairs made of what is there: texts beside an operator's instructions, and replies that belong to another request."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path

from charter.core.config import read_yaml
from charter.judges._heads import OPERATOR_HEADS
from charter.train.classifier.examples import PLAIN, drawn
from charter.train.classifier.rows import LabelledText

#: Longest text, in words, that the network learns from beside instructions: nearly all of it must fit into one window with them.
_WORDS = 60


@cache
def plain_operators() -> tuple[str, ...]:
    """Instructions that forbid nothing in particular."""
    return tuple(read_yaml(Path(__file__).with_name("operators.yaml")).data["plain"])


def beside_operators(rows: Sequence[LabelledText], rng: random.Random, count: int, source: str, longest: int = _WORDS) -> Iterator[LabelledText]:
    """``count`` harmless texts beside plain instructions, and half as many open injections beside any: a text that no instructions forbid is no
    attack for there being some, and an order to drop them is one whatever they say."""
    head = OPERATOR_HEADS[0]
    short = [row for row in rows if row.alone and len(row.text.split()) <= longest]
    fine = [row for row in short if PLAIN.items() <= dict(row.labels).items()]
    bad = [row for row in short if row.labels.get("injection", 0.0) >= 0.5 and row.source.startswith("own_written_overrides")]
    told = sorted({row.operator for row in rows if row.operator})
    if not fine or not bad:
        return
    yield from beside_plain(fine, rng, count, source)
    for row in drawn(bad, rng, count // 2):
        operator = rng.choice(plain_operators()) if not told or rng.random() < 0.3 else rng.choice(told)
        yield row._replace(labels={head: 1.0}, hazard="", source=source, operator=operator)


def beside_plain(rows: Sequence[LabelledText], rng: random.Random, count: int, source: str) -> Iterator[LabelledText]:
    """``count`` of the harmless ones among ``rows`` beside plain instructions."""
    fine = [row for row in rows if row.alone and PLAIN.items() <= dict(row.labels).items()]
    for row in drawn(fine, rng, count) if fine else ():
        yield row._replace(labels={OPERATOR_HEADS[0]: 0.0}, hazard="", source=source, operator=rng.choice(plain_operators()))


def other_replies(rows: Sequence[LabelledText], rng: random.Random, count: int, source: str) -> Iterator[LabelledText]:
    """``count`` replies that did what was asked, each beside another request of the same source: they do not do what that asks."""
    done = [row for row in rows if row.reply is not None and row.labels.get("achieved", 0.0) >= 0.5]
    if len({row.text for row in done}) < 2:
        return
    for row in drawn(done, rng, count):
        others = [other.text for other in done if other.source == row.source and other.text != row.text]
        if others:
            yield row._replace(text=rng.choice(others), labels={"achieved": 0.0}, source=source)
