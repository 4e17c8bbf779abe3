"""May these runs be compared, and on which items? Runs of different data, settings or judges are refused, with the difference named."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from charter.core.errors import InputError
from charter.core.rows import Example
from charter.evaluate.labelled import BOUND
from charter.evaluate.measured import example_of
from charter.evaluate.sides import AGAIN, Side, metrics_with_settings, with_settings


class Shared(NamedTuple):
    """One benchmark that all runs have, in their order; ``keys``: the items that all of them were asked, in the order of the first."""

    benchmark: str
    sides: tuple[Side, ...]
    keys: tuple[str, ...]

    @property
    def alone(self) -> dict[str, int]:
        """How many items each run has that not all have."""
        return {side.run: len(side.examples) - len(self.keys) for side in self.sides}


def pair(runs: Sequence[Mapping[str, Side]]) -> list[Shared]:
    """The benchmarks that all ``runs`` share, in the order of the first. Raises InputError if there is none, or if one cannot be compared."""
    runs = _named_alike(runs)
    names = [name for name in runs[0] if all(name in run for run in runs)]
    if not names:
        have = "; ".join(f"{next(iter(run.values())).run} has {', '.join(sorted(run))}" for run in runs)
        raise InputError(f"the runs share no benchmark: {have}", AGAIN)
    return [_shared(name, [run[name] for run in runs]) for name in names]


def named_apart(runs: Sequence[Mapping[str, Side]]) -> list[dict[str, Side]]:
    """The runs with every number under a name of its own: where one run has a benchmark under several settings, it is named with them in every run,
    and so is every number whose name two of a run's benchmarks share. Otherwise the one would stand for the other."""
    named, shared = _named_alike(runs), set[str]()
    for run in named:
        often = Counter(name for side in run.values() for name in side.metrics)
        shared |= {name for name, count in often.items() if count > 1}
    return [{name: metrics_with_settings(side, shared) for name, side in run.items()} for run in named]


def _named_alike(runs: Sequence[Mapping[str, Side]]) -> list[dict[str, Side]]:
    """Where one run holds a benchmark under several settings, it is named with them in every run."""
    several = {name.partition(" {")[0] for run in runs for name in run if " {" in name}
    named = [[with_settings(side) if name in several else side for name, side in run.items()] for run in runs]
    return [{side.benchmark: side for side in sides} for sides in named]


def unshared(runs: Sequence[Mapping[str, Side]]) -> dict[str, list[str]]:
    """Benchmarks that only some runs have: name -> those runs. They are not compared."""
    found: dict[str, list[str]] = {}
    for run in _named_alike(runs):
        for name, side in run.items():
            found.setdefault(name, []).append(side.run)
    return {name: having for name, having in found.items() if len(having) < len(runs)}


def _shared(name: str, sides: Sequence[Side]) -> Shared:
    first, *others = sides
    for other in others:
        _same_conditions(name, first, other)
        _same_items(name, first, other)
        _own_labels(name, first, other)
    return Shared(name, tuple(sides), tuple(key for key in first.examples if all(key in side.examples for side in others)))


def _same_conditions(name: str, a: Side, b: Side) -> None:
    for what in dict.fromkeys([*a.conditions, *b.conditions]):
        said = [side.conditions.get(what, "not set") for side in (a, b)]
        if said[0] != said[1]:
            raise InputError(f"{name}: {a.run} and {b.run} differ in {what}: {said[0]} and {said[1]}", AGAIN)


def _own_labels(name: str, a: Side, b: Side) -> None:
    """Labels that name no reply are of whatever was read when they were given: one file of them cannot be of two runs that said different things."""
    files = [{digest for what, digest in side.notes.items() if what.startswith("labels of ")} for side in (a, b)]
    if all(digest.endswith(BOUND) for digest in files[0] & files[1]):
        return
    said: tuple[dict[str, set[str]], ...] = ({}, {})
    for found, side in zip(said, (a, b), strict=True):
        for key, answer in side.answers():
            found.setdefault(example_of(key), set()).add(answer.reply.text)
    other = [key for key in said[0] if key in said[1] and said[0][key] != said[1][key]]
    if other:
        raise InputError(
            f"{name}: {a.run} and {b.run} have one file of people's labels, and said different things to {len(other)} items, first to {other[0]!r}",
            "evaluate each with the labels of its own replies, or with one file in which every row names its 'reply'",
        )


def _same_items(name: str, a: Side, b: Side) -> None:
    common = [key for key in a.examples if key in b.examples]
    if not common:
        keys = f"{next(iter(a.examples), 'none')!r} and {next(iter(b.examples), 'none')!r}"
        raise InputError(f"{name}: {a.run} and {b.run} have no item in common (they begin with {keys})", AGAIN)
    differ = [(key, what) for key in common if (what := _difference(a.examples[key], b.examples[key]))]
    if differ:
        key, what = differ[0]
        raise InputError(f"{name}: {len(differ)} of {len(common)} items are not the same in {a.run} and {b.run}; the first is {key!r}: {what}", AGAIN)


def _difference(a: Example, b: Example) -> str:
    """In what two items of one key differ; '' if they are the same thing to ask. System messages are a part of the model that is compared."""
    if a == b:
        return ""
    if _asked(a) != _asked(b):
        return "another prompt"
    for what in ("target", "harmful", "hazard", "tags", "labels"):
        if getattr(a, what) != getattr(b, what):
            return f"another {what}"
    return ""


def _asked(example: Example) -> tuple[object, ...]:
    return tuple((message.role, message.content) for message in example.conversation.messages if message.role != "system")
