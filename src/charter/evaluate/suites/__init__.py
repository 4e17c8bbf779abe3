"""Suites: YAML files that name benchmarks, how much of each is asked, and with which settings. ``read_suite`` reads one."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pydantic import Field, field_validator

from charter.core.config import Config, Document, SpecText, parse, read_yaml
from charter.core.errors import InputError
from charter.core.registry import find, names
from charter.evaluate.benchmark import DataConfig
from charter.evaluate.gate import no_yes

SHIPPED = Path(__file__).parent


class Entry(Config):
    """One benchmark of a suite."""

    benchmark: str
    limit: int | None = Field(default=None, ge=1, description="items asked at most; all if left out")
    seeds: int = Field(default=1, ge=1, description="whole repetitions with other seeds")
    settings: dict[str, Any] = Field(default_factory=dict, description="the benchmark's own settings")
    judges: dict[str, SpecText] = Field(default_factory=dict, description="role -> judge, where another than the default one is wanted")

    _number = field_validator("limit", "seeds", mode="before")(no_yes)

    @field_validator("benchmark")
    @classmethod
    def _known(cls, value: str) -> str:
        try:
            find("benchmarks", value)
        except InputError as error:
            raise ValueError(error.message) from None
        return value

    def config(self, name: str) -> DataConfig:
        """The benchmark's settings. Raises InputError for a wrong one."""
        wanted: type[DataConfig] = find("benchmarks", self.benchmark).Config
        return parse(wanted, Document(f"{name}: {self.benchmark}", dict(self.settings), {}, ()), "charter list benchmarks")


class Suite(Config):
    """Benchmarks that are run together."""

    about: str = ""
    estimate: bool = Field(default=False, description="say how long it may take, and what it may cost, before it starts")
    benchmarks: tuple[Entry, ...] = Field(min_length=1)


def shipped() -> list[str]:
    """Names of the suites that come with Charter."""
    return sorted(path.stem for path in SHIPPED.glob("*.yaml"))


def read_suite(text: str) -> Suite:
    """What ``--suite`` names: suites, files and benchmarks, separated by commas. Raises InputError for one that is none of these."""
    parts = [_part(word) for word in _words(text)]
    entries = [entry for part in parts for entry in part.benchmarks]
    if len(parts) == 1:
        return parts[0]
    return Suite(estimate=any(part.estimate for part in parts), benchmarks=tuple(entries))


def _words(text: str) -> Iterator[str]:
    words = [word.strip() for word in text.split(",") if word.strip()]
    if not words:
        raise InputError("--suite is empty", f"--suite {shipped()[0]}, or --suite xstest")
    yield from words


def _part(word: str) -> Suite:
    if word in shipped():
        return parse(Suite, read_yaml(SHIPPED / f"{word}.yaml"))
    if word.endswith((".yaml", ".yml")):
        return parse(Suite, read_yaml(Path(word).expanduser()), "docs/evaluation.md says what a suite holds")
    if word in names("benchmarks"):
        return Suite(benchmarks=(Entry(benchmark=word),))
    try:
        find("benchmarks", word)
    except InputError as error:
        problem = error.message
    raise InputError(f"{problem}; suites: {', '.join(shipped())}", "charter list benchmarks")
