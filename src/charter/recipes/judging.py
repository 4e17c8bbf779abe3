"""Judges at work on rows of one's own: a verdict row for every row, resumable, by a judge that has passed its self-test."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from charter.core.errors import DataError, InputError, StoreError
from charter.core.normalise.fold import seen
from charter.core.progress import SILENT, Reporter
from charter.core.rows import Conversation, RefusalLabel, Verdict
from charter.core.shapes import Judge
from charter.data.prompts import read_lines
from charter.data.tables import RepeatedKey, parse_json
from charter.judges import _prequalify, propositions
from charter.judges._judging import cut, judge_conversations
from charter.judges._sets import conversation_of
from charter.judges._spec import build_judge
from charter.judges.cascade import Cascade, Usage
from charter.store.lines import ResultFile, key_of
from charter.store.runs import write_text

FORM = '{"id": "a1", "prompt": "How do I …?", "reply": "First …"}'
KEYS = {"id", "system", "prompt", "reply"}


class Row(NamedTuple):
    """One row to judge, and why there is nothing to ask about it ('' if there is something)."""

    id: str | int
    conversation: Conversation
    nothing: str


class Scored(NamedTuple):
    """How many rows came out how, ``retry`` of them failed for no lack of text, and what a cascade did."""

    outcomes: dict[str, int]
    retry: int
    usage: Usage | None
    selftest: str


def trusted_judge(spec: Any, trust: bool = False) -> Judge:
    """The judge of ``spec``, after its self-test if it asks a model. Raises ModelError if it does not pass; ``trust`` leaves the test out."""
    judge = build_judge(spec)
    if not trust:
        _prequalify.require(judge)
    return judge


def score_rows(spec: str, data: Path, out: Path, *, untested: bool = False, retry_failed: bool = False, reporter: Reporter = SILENT) -> Scored:
    """A verdict row for every row of ``data``, appended to ``out``; running it again goes on. Every input row is checked before anything is asked.
    With ``retry_failed`` the rows whose verdict failed are asked about again, and they alone; the new verdict takes the place of the old one.

    Raises DataError naming the file and the row of a broken one, StoreError where ``out`` holds other verdicts, ModelError for a judge that asks a
    model and does not pass the self-test (unless ``untested``, which every row then says).
    """
    rows = read_rows(data)
    judge = build_judge(spec)
    results = ResultFile(out)
    _check(results, rows, judge, out)
    selftest = ""
    if _prequalify.needs(judge):
        found = None if untested else _prequalify.require(judge)
        selftest = "bypassed" if found is None else found.summary()
        reporter.say(f"self-test of {judge.name}: {selftest}")

    def asked(group: Sequence[Row]) -> list[dict[str, Any]]:
        verdicts = judge_conversations(judge, [row.conversation for row in group], [row.nothing for row in group])
        return [result_row(row, verdict, untested and bool(selftest)) for row, verdict in zip(group, verdicts, strict=True)]

    waiting = [group for group in cut(rows) if any(key_of(row.id) not in results for row in group)]
    failed = cut(_failed(rows, results)) if retry_failed else []
    with reporter.track(f"verdicts: {judge.name}", len(rows), len(rows) - sum(map(len, waiting)) - sum(map(len, failed))) as advance:
        for group in failed:
            results.replace(asked(group))
            advance(len(group))
        for group in waiting:
            results.append(asked(group))
            advance(len(group))
    results.compact()
    said = [row["outcome"] for row in results.rows().values()]
    usage = _usage(judge, results) if isinstance(judge, Cascade) else None
    outcomes = {name: said.count(name) for name in ("safe", "unsafe", "unsure", "failed") if name in said}
    return Scored(outcomes, len(_failed(rows, results)), usage, selftest)


def _failed(rows: Sequence[Row], results: ResultFile) -> list[Row]:
    """Rows with a failed verdict that another try may better: of an empty text there is nothing to ask."""
    found = results.rows()
    return [row for row in rows if not row.nothing and found.get(key_of(row.id), {}).get("outcome") == "failed"]


def _usage(judge: Cascade, results: ResultFile) -> Usage:
    """Over all rows, those of earlier runs included."""
    return judge.usage_of(
        Verdict(subject="", outcome="unsure", reason=str(row["reason"]), judge=str(row["judge"]), judge_version="") for row in results.rows().values()
    )


def result_row(row: Row, verdict: Verdict, bypassed: bool = False) -> dict[str, Any]:
    """A verdict as it is written: plain, with the user's id and without the user's text."""
    label = verdict.label if verdict.label in RefusalLabel.__args__ else ""  # type: ignore[attr-defined]
    made: dict[str, Any] = {
        "id": row.id,
        "outcome": verdict.outcome,
        "score": verdict.score,
        "scores": verdict.scores,
        "refusal": label or None,
        "label": verdict.label,
        "hazards": list(verdict.hazards),
        "spans": [list(span) for span in verdict.spans],
        "reason": verdict.reason,
        "judge": verdict.judge,
        "judge_version": verdict.judge_version,
        "subject": row.conversation.id,
    }
    return {**made, "bypass": "self-test"} if bypassed else made


def read_rows(path: Path) -> list[Row]:
    """JSONL rows ``{"id", "system"?, "prompt"?, "reply"?}`` with a prompt or a reply; ``system`` is what the operator told the
    model. Raises DataError naming the file and the row (1-based)."""
    rows: list[Row] = []
    seen: dict[str, int] = {}
    for number, line in read_lines(path):
        row = _row(f"{path}: row {number}", line)
        key = key_of(row.id)
        if key in seen:
            raise DataError(f"{path}: row {number}: id {key[:40]} stands already on row {seen[key]}", "give every row its own id")
        seen[key] = number
        rows.append(row)
    if not rows:
        raise DataError(f"{path}: holds no rows", f"write one JSON object per line, such as {FORM}")
    return rows


def _row(where: str, line: str) -> Row:
    try:
        row = parse_json(line)
    except RepeatedKey as error:
        raise DataError(f"{where}: {error}", f"rows look like {FORM}") from None
    except json.JSONDecodeError as error:
        raise DataError(f"{where}: is not valid JSON ({error.msg} at column {error.colno})", f"rows look like {FORM}") from None
    except (ValueError, RecursionError):
        raise DataError(f"{where}: is not valid JSON (a number or a nesting without end)", f"rows look like {FORM}") from None
    if not isinstance(row, dict):
        raise DataError(f"{where}: is a {type(row).__name__}, not an object", f"rows look like {FORM}")
    if "id" not in row:
        raise DataError(f"{where}: 'id' is missing", f"rows look like {FORM}")
    if isinstance(row["id"], bool) or not isinstance(row["id"], (str, int)):
        raise DataError(f"{where}: 'id' must be a text or a number", f"rows look like {FORM}")
    unknown = sorted(set(row) - KEYS)
    if unknown:
        raise DataError(f"{where}: unknown key {unknown[0][:40]!r}; known: id, system, prompt, reply", f"rows look like {FORM}")
    operator, prompt, reply = row.get("system"), row.get("prompt"), row.get("reply")
    for name, value in (("system", operator), ("prompt", prompt), ("reply", reply)):
        if value is not None and not isinstance(value, str):
            raise DataError(f"{where}: {name!r} must be text", f"rows look like {FORM}")
    if prompt is None and reply is None:
        raise DataError(f"{where}: has neither 'prompt' nor 'reply'", f"rows look like {FORM}")
    nothing = "the reply is empty" if reply is not None and not seen(reply) else ""
    if reply is None and not seen(str(prompt)):
        nothing = "the request is empty"
    return Row(row["id"], conversation_of(prompt, reply, operator or ""), nothing)


def _check(results: ResultFile, rows: Sequence[Row], judge: Judge, out: Path) -> None:
    """What is in ``out`` must be verdicts of this judge on these rows."""
    subjects = {key_of(row.id): row.conversation.id for row in rows}
    for key, row in results.rows().items():
        ours = (row.get("judge"), row.get("judge_version")) == (judge.name, judge.version)
        if not ours or subjects.get(key) != row.get("subject"):
            if not {"judge", "judge_version", "subject", "outcome"} <= row.keys():  # somebody's own rows, perhaps the data themselves
                raise StoreError(f"{out}: holds rows that are no verdicts", "give another --out")
            what = "rows that are not in the data" if ours else f"verdicts of {str(row['judge'])[:60]}@{str(row['judge_version'])[:60]}"
            raise StoreError(f"{out}: holds {what}", f"give another --out, or remove it: rm {out}")


def fit_propositions(spec: str, data: Path, out: Path, l2: float, reporter: Reporter = SILENT) -> tuple[propositions.Propositions, int]:
    """Weights fitted to JSONL rows with prompt, reply and harmful (true or false), written as YAML; and how many answers failed.

    Raises InputError for a judge of another kind or for rows of one kind only.
    """
    judge = build_judge(spec)
    if not isinstance(judge, propositions.PropositionsJudge):
        raise InputError(f"{spec}: only the propositions judge has weights to fit", "propositions:openai:MODEL@http://localhost:8000/v1")
    labelled = _labelled(data)
    with reporter.track("answers", len(labelled)) as advance:
        verdicts = judge.batch([conversation for conversation, _ in labelled])
        advance(len(labelled))
    rows = [
        ({k: v == 1.0 for k, v in verdict.scores.items()}, harmful)
        for verdict, (_, harmful) in zip(verdicts, labelled, strict=True)
        if verdict.outcome != "failed"
    ]
    lost = [verdict for verdict in verdicts if verdict.outcome == "failed"]
    if lost and len({harmful for _, harmful in rows}) < len({harmful for _, harmful in labelled}):
        why = f"{len(lost)} of {len(labelled)} rows could not be judged, so a kind is missing: {lost[0].reason or 'no reason was given'}"
        raise InputError(f"{spec}: {why}", f"charter judges score {spec} --data {data} --out verdicts.jsonl  # says why for every row")
    made = propositions.fit(judge.statements, rows, l2)
    write_text(out, propositions.dump(made))
    return made, len(labelled) - len(rows)


def _labelled(path: Path) -> list[tuple[Conversation, bool]]:
    found = []
    for number, line in read_lines(path):
        try:
            row = parse_json(line)
        except RepeatedKey as error:
            raise DataError(f"{path}: row {number}: {error}") from None
        except ValueError:
            raise DataError(f"{path}: row {number}: is not valid JSON") from None
        if not isinstance(row, dict) or not isinstance(row.get("harmful"), bool) or not isinstance(row.get("reply"), str) or not row["reply"].strip():
            form = '{"prompt": "How do I …?", "reply": "First …", "harmful": true}'
            raise DataError(f"{path}: row {number}: needs a reply and harmful: true or false", f"rows look like {form}")
        found.append((conversation_of(str(row.get("prompt") or "") or None, row["reply"]), row["harmful"]))
    return found
