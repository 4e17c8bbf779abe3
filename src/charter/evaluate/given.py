"""Replies that were made elsewhere: JSON lines ``{"id", "reply"}`` whose ids are the benchmark's own.

They stand in for a model; several rows of one id are its samples, in order. ``labelled`` has the labels that stand in for a judge.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from charter.core.errors import InputError
from charter.core.rows import Example, Reply
from charter.data.tables import numbered_jsonl
from charter.evaluate.benchmark import Benchmark, aliases
from charter.evaluate.plan import Question


class Ids:
    """From every form of an item's id to its key, over the benchmarks of one run."""

    def __init__(self) -> None:
        self._keys: dict[str, set[tuple[str, str]]] = {}

    def add(self, name: str, benchmark: Benchmark, examples: Sequence[Example]) -> None:
        for example in examples:
            for form in aliases(name, benchmark, example):
                self._keys.setdefault(form, set()).add((name, example.key))

    def find(self, path: Path, number: int, given: Any) -> tuple[str, str]:
        """(benchmark, key) of an id. Raises InputError for one that is unknown, or that is an item of two benchmarks."""
        if not isinstance(given, str | int) or isinstance(given, bool):
            raise InputError(f"{path}: row {number}: 'id' must be a text or a number", '{"id": "xstest-1", ...}')
        found = self._keys.get(str(given), set())
        if len(found) == 1:
            return next(iter(found))
        if not found:
            known = ", ".join(repr(form) for form in list(self._keys)[:3])
            raise InputError(f"{path}: row {number}: no item has the id {str(given)[:60]!r}; ids look like {known}", f"sed -n {number}p {path}")
        names = " and ".join(sorted(name for name, _ in found))
        raise InputError(f"{path}: row {number}: the id {given!r} is one of {names}", f"write {sorted(key for _, key in found)[0]!r}")


@dataclass(frozen=True)
class Replies:
    """Replies by benchmark and key. Stands where a model would; ``spec`` is the label that the user gave it."""

    spec: str
    path: Path
    by_item: Mapping[tuple[str, str], tuple[str, ...]]
    digest: str

    def of(self, name: str) -> BenchmarkReplies:
        return BenchmarkReplies(self.spec, self.path, {key: texts for (benchmark, key), texts in self.by_item.items() if benchmark == name})


@dataclass(frozen=True)
class BenchmarkReplies:
    """The replies to one benchmark's items."""

    spec: str
    path: Path
    by_key: Mapping[str, tuple[str, ...]]

    def unused(self, examples: Sequence[Example], draws: int) -> dict[str, int]:
        """What of the file is read by nobody, reason -> how many: replies to these items beyond their ``draws``."""
        count = sum(max(0, len(self.by_key.get(example.key, ())) - draws) for example in examples)
        return {f"replies of {self.path.name} beyond the {draws} that each item is asked for": count} if count else {}

    def answer(self, questions: Sequence[Question]) -> list[Reply]:
        """The n-th reply for the n-th draw; an item without one gives an error."""
        return [self._one(question) for question in questions]

    def _one(self, question: Question) -> Reply:
        draw = int(question.key.rpartition("#")[2].partition(".")[0])
        texts = self.by_key.get(question.example.key, ())
        if draw < len(texts):
            return Reply(text=texts[draw], finish="stop")
        return Reply(text="", finish="error", error=f"{self.path.name} has {'no' if not texts else 'no further'} reply to this item")


def read_replies(spec: str, path: Path, ids: Ids) -> Replies:
    """Replies in a file of ``{"id", "reply"}`` rows; other keys are passed over. Raises DataError, InputError."""
    found: dict[tuple[str, str], list[str]] = {}
    for number, row in numbered_jsonl(path, ("id", "reply")):
        if not isinstance(row["reply"], str):
            raise InputError(f"{path}: row {number}: 'reply' must be text", '{"id": "xstest-1", "reply": "..."}')
        found.setdefault(ids.find(path, number, row["id"]), []).append(row["reply"])
    if not found:
        raise InputError(f"{path}: holds no replies", 'write rows such as {"id": "xstest-1", "reply": "..."}')
    return Replies(spec, path, {item: tuple(texts) for item, texts in found.items()}, digest_of_file(path))


def digest_of_file(path: Path) -> str:
    """Names a file by what it holds."""
    return hashlib.sha256(path.read_bytes()).hexdigest()[:8]
