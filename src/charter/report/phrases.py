"""Numbers in words, and text from models made fit to be looked at. What was not measured is said to be, never shown as 0."""

from __future__ import annotations

from charter.core.rows import Metric
from charter.core.stats import wilson
from charter.core.visible import visible as visible
from charter.report.summary import Summary

NOT_MEASURED = "not measured"
NO_BREAK = "\u00a0"
SHOWN_CHARACTERS = 2000
LABELS = {"none": "answered", "partial": "partly refused", "full": "refused", "unsure": "unclear", "failed": "no readable answer"}


def shortened(text: str, most: int) -> str:
    """``text`` on one line of at most ``most`` characters, its beginning and its end: names differ in either."""
    shown = " ".join(visible(text).split())
    return shown if len(shown) <= most else f"{shown[: most - 12]} … {shown[-9:]}"


def clipped(text: str) -> tuple[str, int]:
    """The start of ``text`` and how many characters were left out."""
    return text[:SHOWN_CHARACTERS], max(0, len(text) - SHOWN_CHARACTERS)


def percent(value: float | None) -> str:
    return NOT_MEASURED if value is None else f"{100 * value:.1f}{NO_BREAK}%"


def interval(low: float | None, high: float | None) -> str:
    """A 95 % interval of a share, in per cent."""
    return NOT_MEASURED if low is None or high is None else f"{100 * low:.1f} to {100 * high:.1f}{NO_BREAK}%"


def figure(metric: Metric) -> str:
    """A metric's value: shares in per cent, other numbers as they are."""
    if metric.value is None:
        return NOT_MEASURED
    return percent(metric.value) if metric.is_share else f"{metric.value:.4g}"


def ends(metric: Metric) -> str:
    """A metric's 95 % interval, in the unit of ``figure``."""
    if metric.low is None or metric.high is None:
        return NOT_MEASURED
    return interval(metric.low, metric.high) if metric.is_share else f"{metric.low:.4g} to {metric.high:.4g}"


def change(difference: float) -> str:
    """A difference in its own unit, always signed."""
    return f"{difference:+.4g}".replace("-", "−")


def number(value: str | int | float | None) -> str:
    """A count, a figure or a text as it is read aloud; None is 'not measured'."""
    if value is None or value == "":
        return NOT_MEASURED
    if isinstance(value, bool | str):
        return str(value)
    return f"{value:,}" if isinstance(value, int) else f"{value:.4g}"


def points(difference: float) -> str:
    """A difference of two shares in percentage points, always signed."""
    shown = round(100 * difference, 1)
    sign = "+" if shown > 0 else "−" if shown < 0 else "±"
    return f"{sign}{abs(shown):.1f}"


def p_value(p: float) -> str:
    return "p < 0.001" if p < 0.001 else f"p = {p:.3f}"


def duration(seconds: float | None) -> str:
    if seconds is None:
        return NOT_MEASURED
    if seconds < 60:
        return f"{seconds:.1f}{NO_BREAK}s"
    whole = round(seconds)
    hours, minutes = whole // 3600, whole % 3600 // 60
    return f"{hours}{NO_BREAK}h {minutes:02d}{NO_BREAK}min" if hours else f"{minutes}{NO_BREAK}min {whole % 60:02d}{NO_BREAK}s"


def out_of(metric: Metric) -> str:
    """'12 of 100', or the percentage where the value is no share of whole items, or 'not measured'."""
    if metric.value is None:
        return NOT_MEASURED
    k = metric.value * metric.n
    whole = abs(k - round(k)) < 1e-6
    return f"{round(k)} of {metric.n}" if whole else percent(metric.value)


def rate_of(k: int, n: int) -> str:
    """``k`` of ``n`` in per cent with its Wilson interval."""
    return NOT_MEASURED if n == 0 else f"{percent(k / n)} ({interval(*wilson(k, n))})"


def label(name: str) -> str:
    """A refusal label in plain words; an unknown one as it stands."""
    return LABELS.get(name, name)


def verdict(summary: Summary) -> str:
    """The gate in one sentence for someone who does not program."""
    before, after = summary.before, summary.after
    opening = "The trained model passed" if summary.gate.passed else "The trained model did not pass and should not replace the old one"
    harm = _change(after.harmful_compliance, before.harmful_compliance, "it answered", "harmful requests")
    refusal = _change(after.over_refusal, before.over_refusal, "it refused", "harmless requests")
    return f"{opening}: {harm}, and {refusal}."


def _change(after: Metric, before: Metric, did: str, what: str) -> str:
    if after.value is None:
        return f"how often {did} {what} was {NOT_MEASURED}"
    earlier = f"before training {out_of(before)}" if before.value is not None else f"before training {NOT_MEASURED}"
    return f"{did} {out_of(after)} {what} ({earlier})"
