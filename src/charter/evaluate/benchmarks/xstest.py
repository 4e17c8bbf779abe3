"""XSTest: 250 safe prompts that look unsafe and 200 unsafe contrasts, to find exaggerated safety.

Paper: Röttger, Kirk, Vidgen, Attanasio, Bianchi, Hovy, "XSTest: A Test Suite for Identifying Exaggerated Safety Behaviours in Large Language Models",
NAACL 2024 (arXiv 2308.01263). Prompts: CC BY 4.0, https://github.com/paul-rottger/xstest; version 2 is read here, nothing is shipped.
Metrics, per the paper: full refusal, partial refusal and full compliance as shares of the safe and of the unsafe prompts; 'any refusal' is full or
partial. The headline is full refusal on safe prompts. Type rates have n = 25 each: read their intervals.
Trap: the released replies have the labels of people, which are the gold for refusal judges; they carry their models' terms, so they are not shipped.
"""

from __future__ import annotations

import csv
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from pydantic import Field

from charter.core.config import Config as BaseConfig
from charter.core.errors import DataError
from charter.core.rows import Conversation, Example, Metric, Source
from charter.evaluate.evaluation import Label
from charter.evaluate.matrix import label_rate

NOT_COVERED = "English only, single turn, 18 fixed prompt types; whether a non-refusing reply is good or harmful is not measured."
LICENCE = "CC-BY-4.0"
SIZES = {"safe": 250, "unsafe": 200}
RATES: dict[str, tuple[Label, ...]] = {
    "full_refusal": ("full",),
    "partial_refusal": ("partial",),
    "any_refusal": ("full", "partial"),
    "full_compliance": ("none",),
}
_GOLD: dict[str, Label] = {"1_full_compliance": "none", "2_full_refusal": "full", "3_partial_refusal": "partial"}
_PREFIX = "xstest_v2_completions_"


class Config(BaseConfig):
    """Where the data is."""

    path: Path | None = Field(default=None, description="folder with xstest_prompts.csv; default: xstest under $CHARTER_DATA")


class XSTest(NamedTuple):
    """The benchmark over one folder. Raises DataError when a file is missing or not the version 2 that the numbers are known for."""

    folder: Path

    def examples(self) -> list[Example]:
        """All 450 prompts in the order of the file; tags: the type, and 'lookalike' for the safe ones."""
        file = self.folder / "xstest_prompts.csv"
        found = [_example(row) for row in _rows(file, {"id", "prompt", "type", "label"})]
        sizes = {label: sum(e.harmful is (label == "unsafe") for e in found) for label in SIZES}
        if sizes != SIZES:
            raise DataError(f"{file}: has {sizes['safe']} safe and {sizes['unsafe']} unsafe prompts, not 250 and 200", _where(self.folder))
        return found

    def metrics(self, examples: Sequence[Example], labels: Mapping[str, Label], judge: str = "") -> list[Metric]:
        """``xstest/<safe|unsafe|type>/<rate>`` for every rate of ``RATES``; an example without a label counts as failed."""
        groups = {"safe": [e for e in examples if e.harmful is False], "unsafe": [e for e in examples if e.harmful is True]}
        for kind in dict.fromkeys(e.tags[0] for e in examples):
            groups[kind] = [e for e in examples if e.tags[0] == kind]
        return [
            label_rate(f"xstest/{group}/{name}", [labels.get(e.key, "failed") for e in members], wanted, judge)
            for group, members in groups.items()
            for name, wanted in RATES.items()
        ]

    def released(self) -> list[str]:
        """Names of the models whose replies and human labels are in the folder ``completions``."""
        return sorted(file.stem.removeprefix(_PREFIX) for file in (self.folder / "completions").glob(f"{_PREFIX}*.csv"))

    def gold(self, model: str = "") -> list[tuple[Example, str, Label]]:
        """(example, reply, label of the human annotators) of one released model, or of all."""
        models = [model] if model else self.released()
        if not models:
            raise DataError(f"{self.folder / 'completions'}: has no released replies", _where(self.folder))
        examples = {e.key: e for e in self.examples()}
        return [item for name in models for item in self._released(name, examples)]

    def _released(self, model: str, examples: Mapping[str, Example]) -> Iterator[tuple[Example, str, Label]]:
        file = self.folder / "completions" / f"{_PREFIX}{model}.csv"
        for row in _rows(file, {"id", "completion", "final_label"}):
            key, label = f"xstest-{row['id'].removeprefix('v2-')}", row["final_label"]
            if key not in examples or label not in _GOLD:
                raise DataError(f"{file}: row {row['id']!r} has an unknown id, or the unknown label {label!r}", _where(self.folder))
            yield examples[key], row["completion"], _GOLD[label]


def build(config: Config) -> XSTest:
    """The benchmark; files are looked for when they are read."""
    root = os.environ.get("CHARTER_DATA", "")
    if config.path is None and not root:
        raise DataError("XSTest needs its prompts, and neither 'path' nor CHARTER_DATA says where they are", _where(Path("data/xstest")))
    return XSTest(config.path or Path(root) / "xstest")


def _example(row: Mapping[str, str]) -> Example:
    safe = row["label"] == "safe"
    return Example(
        key=f"xstest-{row['id']}",
        conversation=Conversation.ask(row["prompt"]),
        harmful=not safe,
        tags=(row["type"], "lookalike") if safe else (row["type"],),
        source=Source(dataset="xstest", revision="v2", row=row["id"], licence=LICENCE),
    )


def _rows(file: Path, columns: set[str]) -> list[dict[str, str]]:
    try:
        with file.open(encoding="utf-8", newline="") as stream:
            reader = csv.DictReader(stream)
            missing = columns - set(reader.fieldnames or ())
            rows = list(reader)
    except FileNotFoundError:
        raise DataError(f"{file}: there is no such file", _where(file.parent)) from None
    if missing:
        raise DataError(f"{file}: lacks the columns {', '.join(sorted(missing))}", _where(file.parent))
    return rows


def _where(folder: Path) -> str:
    return f"git clone https://github.com/paul-rottger/xstest (CC BY 4.0), copy xstest_prompts.csv to {folder}, set CHARTER_DATA to its parent"
