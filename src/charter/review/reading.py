"""Items of the gateway's queue as lines for a terminal and as JSON. Every text is a stranger's: controls, ANSI sequences and bidirectional marks are
named, never written as they are, and no text can stand where a line of Charter's own stands."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from charter.core.rows import Message, Part
from charter.core.visible import visible
from charter.review.labels import LABELS, reason_of, told
from charter.store.decisions import Filed, Made, Said

#: Characters of a text in a list.
SHORT = 100
#: Digits of an id that lists show; any unambiguous beginning names the item.
DIGITS = 12
_UNITS = ((86_400, "d"), (3600, "h"), (60, "min"), (1, "s"))


def line_of(item: Filed, now: float) -> list[str]:
    """Two lines: what it is, and the beginning of its text."""
    row = item.row
    told_by = f"; {_decided(item)}" if item.made else ""
    what = f"priority {row['priority']}  {item.status}  {row['stage']}: {reason_of(item)}{told_by}"
    head = f"{item.id[:DIGITS]}  {age(now - row['created_unix_s'])}  {what}"
    return [_one_line(head), f"    {short(item)}"]


def _decided(item: Filed) -> str:
    return ", ".join(f"{each.reviewer}: {told(each.decision)}" for each in item.made)


def short(item: Filed) -> str:
    """The beginning of what was checked, on one line."""
    if item.finding is None:
        return "(its text is gone: its time was over)"
    talk = item.finding.conversation
    text = " ".join(talk.messages[-1].text.split()) if talk.messages else ""
    if item.row["stage"] == "input" and talk.prompt:
        text = " ".join(talk.prompt.split())
    return _one_line(text[:SHORT]) + ("…" if len(text) > SHORT else "") if text else "(no text: see charter review show)"


def age(seconds: float) -> str:
    """'3 d', '5 h', in the largest unit that fits."""
    size, unit = next(((size, unit) for size, unit in _UNITS if seconds >= size), (1, "s"))
    return f"{max(0, int(seconds // size))} {unit}"


def page_of(item: Filed, now: float, where: str = "") -> Iterator[str]:
    """Every line about one item: why it is here, its whole text, what rails, users and reviewers said."""
    row = item.row
    yield f"{item.id}  {item.status}, priority {row['priority']}, {age(now - row['created_unix_s'])} old"
    yield _one_line(f"why: {reason_of(item)}")
    ids = f"request {row['request_id']}, decision {row['decision_id']}"
    named = f", response {row['response_id']}" if row["response_id"] else ""
    choice = f", choice {row['choice_index']}" if row["choice_index"] is not None else ""
    yield _one_line(f"of: {ids}{named}{choice}; key {row['key_name'] or 'none'}; policy {row['policy']}; stage {row['stage']}")
    yield f"text is kept until {when(row['keep_until_unix_s'])}"
    if item.finding is None:
        yield "the text is gone: its time was over"
    else:
        verdict = item.finding.verdict
        score = "" if verdict.score is None else f" {verdict.score:.3f}"
        yield _one_line(f"verdict: {verdict.judge} {verdict.outcome}{score} {', '.join(verdict.hazards)} {verdict.reason}".rstrip())
        for check in item.checks:
            yield _one_line(f"check: {check.get('action')} by {', '.join(check.get('by', ())) or 'none'}; {_rails(check)}")
        for message in item.finding.conversation.messages:
            yield from _message(message)
    for said in item.said:
        yield from _said(said)
    for made in item.made:
        yield from _made(made)
    if not item.made:
        yield f"nobody has decided: charter review decide{where} {item.id[:DIGITS]} --label {'|'.join(LABELS)} --reviewer NAME"


def _rails(check: dict[str, Any]) -> str:
    def rail(row: dict[str, Any]) -> str:
        return f"{row.get('rail')} {row.get('action')}" + (f" {row['score']:.3f}" if isinstance(row.get("score"), float) else "")

    return ", ".join(rail(row) for row in check.get("rails", ()))


def _message(message: Message) -> Iterator[str]:
    yield f"{message.role}{' (beside the chat)' if message.around else ''}:"
    for part in (Part(type="text", text=message.content),) if isinstance(message.content, str) else message.content:
        yield from _block(part.text if part.type == "text" else f"[{part.type}, {len(part.data)} characters, not opened]")
    for call in message.tool_calls:
        yield from _block(f"[calls {call.name}] {call.arguments}")


def _block(text: str) -> Iterator[str]:
    """Every line of a stranger's text behind a bar: none looks like one of ours."""
    yield from (f"  | {line}" for line in visible(text).expandtabs(4).split("\n"))


def _said(said: Said) -> Iterator[str]:
    yield _one_line(f"{said.kind} of {when(said.created_unix_s)}: {said.category}, choice {said.choice_index}")
    if said.comment:
        yield from _block(said.comment)


def _made(made: Made) -> Iterator[str]:
    yield _one_line(f"decided {when(made.made_unix_s)} by {made.reviewer}: {told(made.decision)}")
    if made.comment:
        yield from _block(made.comment)


def when(unix_s: float) -> str:
    """To the minute, in UTC."""
    return datetime.fromtimestamp(unix_s, UTC).strftime("%Y-%m-%d %H:%M UTC")


def _one_line(text: str) -> str:
    return " ".join(visible(text).split())


def json_of(item: Filed, now: float) -> str:
    """One item as a line of JSON, text included, in printable ASCII. Times are seconds since 1970."""
    row, finding = item.row, item.finding
    talk = finding.conversation if finding is not None else None
    keys = ("id", "priority", "why", "hazard", "stage", "policy", "request_id", "decision_id", "response_id", "choice_index", "key_name")
    row_of = {
        **{key: row[key] for key in keys},
        "status": item.status,
        "created_unix_s": row["created_unix_s"],
        "keep_until_unix_s": row["keep_until_unix_s"],
        "age_s": max(0, round(now - row["created_unix_s"])),
        "reason": reason_of(item),
        "verdict": finding.verdict.model_dump(mode="json", exclude_defaults=True) if finding is not None else None,
        "messages": [message.model_dump(mode="json", exclude_defaults=True) for message in talk.messages] if talk is not None else None,
        "decisions": [_plain(each) for each in item.made],
        "reports": [each._asdict() for each in item.said],
    }
    return json.dumps(row_of, ensure_ascii=True).replace("\x7f", "\\u007f")


def _plain(made: Made) -> dict[str, Any]:
    labels = {verdict.label: verdict.outcome for verdict in made.decision.verdicts}
    hazards = sorted({hazard for verdict in made.decision.verdicts for hazard in verdict.hazards})
    return {"reviewer": made.reviewer, "at_unix_s": made.made_unix_s, "labels": labels, "hazards": hazards, "comment": made.comment}
