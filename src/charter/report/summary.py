"""``summary.json``: the few numbers of a run that scripts and dashboards may rely on. Its contract is written down in ``docs/summary.md``.

Fields are never removed or given another meaning without a new major version of Charter; unknown fields are refused, so that a mistyped or
half-understood file is an error and not a wrong answer.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, PlainSerializer, ValidationError, model_validator

from charter.core.errors import InputError
from charter.core.rows import Metric
from charter.store.runs import write_json

PAIRED = ("harmful_compliance", "over_refusal")
ROUNDING = 1e-9

Count = Annotated[int, Field(ge=0)]
Seconds = Annotated[float, Field(ge=0.0)]
Share = Annotated[float, Field(ge=0.0, le=1.0)]
Difference = Annotated[float, Field(ge=-1.0, le=1.0)]


def _sound(metric: Metric) -> Metric:
    """A share with its interval around it, or nothing at all: a value without items, or half an interval, is a bug upstream."""
    numbers = (metric.value, metric.low, metric.high)
    if metric.n < 0 or metric.n_failed < 0:
        raise ValueError(f"{metric.name}: n and n_failed are counts")
    if metric.value is None or metric.low is None or metric.high is None:
        if numbers != (None, None, None):
            raise ValueError(f"{metric.name}: value, low and high are all numbers or all null")
        return metric
    if metric.n == 0:
        raise ValueError(f"{metric.name}: a value over no items; write null, not {metric.value}")
    if not all(x is not None and math.isfinite(x) and 0.0 <= x <= 1.0 for x in numbers):
        raise ValueError(f"{metric.name}: value, low and high are shares from 0 to 1, got {numbers}")
    if not metric.low - ROUNDING <= metric.value <= metric.high + ROUNDING:
        raise ValueError(f"{metric.name}: the interval {metric.low} to {metric.high} does not hold the value {metric.value}")
    return metric


def _metric_json(metric: Metric) -> dict[str, str | int | float | None]:
    return metric.model_dump(mode="json", exclude={"schema_version"})


ShareMetric = Annotated[Metric, AfterValidator(_sound), PlainSerializer(_metric_json)]


class _Contract(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


class CharterRef(_Contract):
    """Which charter: its name and the hash of its content."""

    name: str
    hash: str


class StageSummary(_Contract):
    """One stage of the run. ``dropped`` maps a reason to the number of rows lost to it."""

    name: str
    seconds: Seconds
    rows_in: Count
    rows_out: Count
    dropped: dict[str, Count]


class Measured(_Contract):
    """One model on the held-out requests. ``groups`` is keyed ``<metric>/<group>``, such as ``over_refusal/lookalike``."""

    harmful_compliance: ShareMetric
    over_refusal: ShareMetric
    partial_refusal: ShareMetric
    groups: dict[str, ShareMetric]


class PairedSummary(_Contract):
    """The same requests before and after. ``b``: yes before, no after; ``c``: no before, yes after; ``difference`` = after - before."""

    b: Count
    c: Count
    n: Annotated[int, Field(ge=1)]
    p: Share
    difference: Difference
    interval: tuple[Difference, Difference]


class GateSummary(_Contract):
    """May the checkpoint be used? Every reason is one sentence. ``failed``: those of them that did not hold; None in a file that is older than this
    field."""

    passed: bool
    reasons: tuple[str, ...]
    failed: tuple[str, ...] | None = None

    @property
    def conditions(self) -> tuple[tuple[bool | None, str], ...]:
        """Whether it held (None: not known), and the sentence; what failed comes first."""
        held = [(None if self.failed is None else reason not in self.failed, reason) for reason in self.reasons]
        return tuple(sorted(held, key=lambda condition: condition[0] is not False))


class Summary(_Contract):
    """All of ``summary.json``. ``paired`` leaves out a metric that no request was scored for in both runs."""

    model: str
    charter: CharterRef
    seconds: Seconds
    stages: tuple[StageSummary, ...]
    before: Measured
    after: Measured
    paired: dict[str, PairedSummary]
    gate: GateSummary
    checkpoint: str
    recipe: str
    seed: int

    @model_validator(mode="after")
    def _consistent(self) -> Summary:
        unknown = sorted(set(self.paired) - set(PAIRED))
        if unknown:
            raise ValueError(f"paired holds {', '.join(unknown)}; known: {', '.join(PAIRED)}")
        missing = [name for name in PAIRED if name not in self.paired]
        if self.gate.passed and missing:
            raise ValueError(f"the gate cannot pass on what was not compared: {', '.join(missing)}")
        return self


def write_summary(path: Path, summary: Summary) -> None:
    """Write ``summary.json`` in one piece. Raises StoreError if the disk is full or may not be written to."""
    write_json(path, summary.model_dump(mode="json"))


def read_summary(path: Path) -> Summary:
    """The summary in ``path``. Raises InputError with one line per mistake: where it stands and what is wrong."""
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}", "give the summary.json of a finished run") from None
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: not UTF-8 text (byte {error.start})", f"iconv -t UTF-8 {path}") from None
    try:
        return Summary.model_validate_json(text, strict=True)
    except ValidationError as error:
        found = error.errors(include_url=False, include_input=False)
        lines = [f"{path}: {'.'.join(map(str, item['loc'])) or 'the file'}: {item['msg']}" for item in found]
        raise InputError("\n".join(lines), "docs/summary.md says what each field holds") from None
