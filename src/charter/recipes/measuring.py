"""Judges measured against rows that people labelled: verdicts, figures, and a card for each judge."""

from __future__ import annotations

import os
import platform
import statistics
import time
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

from charter.core.errors import DataError, InputError, MissingPartError
from charter.core.progress import SILENT, Reporter
from charter.core.registry import find, names
from charter.core.rows import Verdict
from charter.core.seeds import stream
from charter.core.shapes import Judge
from charter.judges import _prequalify
from charter.judges._card_files import card_in, file_name, place_of
from charter.judges._card_page import card_page
from charter.judges._cards import Card, CardRow, Latency, SelfTest, Steps
from charter.judges._judging import judge_rows, name_of, stored_verdicts
from charter.judges._measuring import answers_of, measure
from charter.judges._pairs import build_measured
from charter.judges._sets import Items, load_set, read_set, set_names
from charter.judges.cascade import Cascade
from charter.store.rowlog import RowLog
from charter.store.runs import write_json, write_text

#: Questions that are timed one by one; fewer for judges whose questions cost time or money.
TIMED = 50
TIMED_DEAR = 5


class Measured(NamedTuple):
    """A card and the files it was written to; ``skipped`` names sets that were not measured, and why."""

    card: Card
    json: Path
    page: Path
    skipped: dict[str, str]


def measure_judge(
    judge: Judge, data: Path, out: Path, *, sets: Sequence[str] = (), limit: int | None = None, cards: Path | None = None,
    retry_failed: bool = False, reporter: Reporter = SILENT,
) -> Measured:  # fmt: skip
    """Measure one judge on the judge sets that it has an answer for, and write its card (JSON and Markdown) to ``cards`` or ``out``/cards.

    Verdicts are kept in ``out``/verdicts, so that a stopped measuring goes on; with ``retry_failed`` the failed ones are asked for again. ``limit``
    takes a seeded random part of each set. With ``sets`` given, rows of an older card of the same version on other sets are kept. Raises DataError
    for data that is missing, if sets were named.
    """
    chosen, skipped = _sets(judge, data, sets)
    log = RowLog(out / "verdicts" / file_name(name_of(judge)).replace(".json", ".jsonl"), Verdict)
    rows, times = [], list[float]()
    selftest = _selftest(judge, reporter)
    folder = cards or out / "cards"
    old = card_in(judge, folder).card
    for items in chosen:
        part, items = _part(items, limit)
        if len(times) < TIMED and not (old and old.latency):
            times += _time(judge, items, log, TIMED - len(times))
        verdicts = judge_rows(judge, [(item.key, item.conversation) for item in items.items], log, reporter, retry_failed)
        row = measure(judge, items, verdicts, part)
        rows.append(row.model_copy(update={"steps": _steps(judge, verdicts.values())}) if isinstance(judge, Cascade) else row)
    card = _card(judge, rows, times, selftest, old, bool(sets))
    path = place_of(judge, folder)
    write_json(path, card.model_dump(mode="json"))
    write_text(path.with_suffix(".md"), card_page(card))
    return Measured(card, path, path.with_suffix(".md"), skipped)


def _steps(judge: Cascade, verdicts: Iterable[Verdict]) -> Steps:
    """From the verdicts of the set, stored ones included, and nothing else that was asked, such as what was timed."""
    return Steps(decided=judge.usage_of(verdicts).decided, costs=judge.costs)


def _sets(judge: Judge, data: Path, wanted: Sequence[str]) -> tuple[list[Items], dict[str, str]]:
    answers = {*answers_of(judge)} | ({"hazard"} if getattr(judge, "names_hazards", len(answers_of(judge)) > 3) else set())
    chosen, skipped = [], {}
    for name in wanted or set_names():
        key, judge_set = load_set(name)
        if judge_set.task not in answers:
            if wanted:
                known = ", ".join(sorted(answers)) or "nothing that judge sets ask"
                raise InputError(f"{judge.name} has no answer to {judge_set.task}, which {key} asks; it answers {known}")
            continue
        try:
            chosen.append(read_set(key, judge_set, data))
        except DataError as error:
            if wanted:
                raise
            skipped[key] = error.message
    if not chosen:
        raise DataError(f"nothing to measure {judge.name} on in {data}", "set CHARTER_DATA to the folder of public sets, or name --set FILE.yaml")
    return chosen, skipped


def _part(items: Items, limit: int | None) -> tuple[str, Items]:
    if limit is None or limit >= len(items.items):
        return "", items
    kept = set(stream(0, "judge set", items.name).sample(range(len(items.items)), limit))
    return f"a random {limit} of {len(items.items)} rows", items._replace(items=tuple(item for i, item in enumerate(items.items) if i in kept))


def _time(judge: Judge, items: Items, log: RowLog[Verdict], count: int) -> list[float]:
    """Milliseconds of questions put one by one, after one that warms up; their verdicts are not kept. A dear judge is not asked about a set that
    is judged already."""
    if _dear(judge) and items.items[-1].conversation.id in stored_verdicts(judge, log):
        return []
    picked = stream(0, "timing").sample(range(len(items.items)), min(TIMED_DEAR if _dear(judge) else count, len(items.items)))
    found = []
    forget: Callable[[], None] = getattr(judge, "forget", lambda: None)
    for i in [picked[0], *picked]:
        forget()  # another judge on the same encoder may have read these texts already
        started = time.perf_counter()
        judge(items.items[i].conversation)
        found.append((time.perf_counter() - started) * 1000)
    return found[1:]


def _dear(judge: Judge) -> bool:
    parts: tuple[Judge, ...] = getattr(judge, "parts", ())
    return any(map(_dear, parts)) if parts else bool(getattr(judge, "dear", False))


def _card(judge: Judge, rows: Sequence[CardRow], times: Sequence[float], selftest: SelfTest | None, old: Card | None, some: bool) -> Card:
    kept = [row for row in old.rows if row.judge_set not in {r.judge_set for r in rows}] if old and some else []
    latency = old.latency if old and not times else None
    if times:
        ordered = sorted(times)
        p95 = ordered[min(len(ordered) - 1, int(0.95 * len(ordered)))]
        machine = f"{os.cpu_count()} cores, {platform.machine()}"
        latency = Latency(p50_ms=round(statistics.median(ordered), 3), p95_ms=round(p95, 3), n=len(ordered), machine=machine)
    made = datetime.now(UTC).date().isoformat()
    ordered_rows = tuple(sorted([*kept, *rows], key=lambda row: row.judge_set))
    return Card(judge=judge.name, version=judge.version, made=made, latency=latency, selftest=selftest, rows=ordered_rows)


def _selftest(judge: Judge, reporter: Reporter) -> SelfTest | None:
    """Its result goes on the card; measuring goes on all the same, for what it does badly is worth knowing too."""
    if not _prequalify.needs(judge):
        return None
    found = selftest_of(judge)
    reporter.say(f"self-test of {judge.name}: {'passed' if found.passed else 'NOT passed'}: {found.summary()}")
    return SelfTest(passed=found.passed, summary=found.summary())


def selftest_of(judge: Judge) -> _prequalify.Prequalification:
    """The self-test of a judge: of the first part that needs one and does not pass, else the last that was made."""
    return (_prequalify.tests(judge) or [_prequalify.prequalify(judge)])[-1]


def judges_without_model() -> list[str]:
    """Names of the shelf's judges that need no model, no service and no other judge."""
    found = []
    for name in names("judges"):
        module = find("judges", name)
        if {"model", "url", "judge", "judges"} & set(module.Config.model_fields):
            continue
        try:
            build_measured(name)
        except (InputError, MissingPartError):
            continue
        found.append(name)
    return found
