"""What people decided, as labelled rows for the next round: in the form that the guard's calibration, the judges or the classifier's training reads.

A label that people contradict each other about, on one item or on two with the same text, is in no row; whatever is left out is counted.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

from charter.core.rows import Conversation, Message
from charter.data.care import REASON, must_drop, said
from charter.judges._heads import HAZARDS
from charter.review.labels import PARTS, Part, conversation_of, said_of
from charter.store.decisions import Filed

CONTRADICT = "people contradict each other"
_CODES = {name: code for code, name in HAZARDS.items()}


class Labelled(NamedTuple):
    """A request or a reply that people agree about. ``hazards``: what they called it."""

    id: str
    part: Part
    conversation: Conversation
    unsafe: bool
    hazards: tuple[str, ...]


class Exported(NamedTuple):
    """Rows as they are written, and how many labels gave none, by why."""

    rows: list[dict[str, Any]]
    left_out: dict[str, int]


def export(items: Iterable[Filed], form: str) -> Exported:
    """Rows of all decided items. ``form`` is one of ``FORMS``."""
    left_out: Counter[str] = Counter()
    groups: dict[tuple[str, str], list[Labelled]] = {}
    for item in items:
        for label in _labels(item, left_out):
            groups.setdefault((label.part, label.conversation.digest), []).append(label)
    rows: list[dict[str, Any]] = []
    for group in groups.values():
        if len({label.unsafe for label in group}) > 1:
            left_out[CONTRADICT] += len(group)
            continue
        left_out["the same text again"] += len(group) - 1
        made = REASON if must_drop(said(group[0].conversation)) else FORMS[form](group[0])
        if isinstance(made, str):
            left_out[made] += 1
        else:
            rows.append(made)
    return Exported(rows, {why: count for why, count in left_out.items() if count})


def _labels(item: Filed, left_out: Counter[str]) -> list[Labelled]:
    decisions = [each.decision for each in item.made]
    found: list[Labelled] = []
    for part in PARTS:
        outcomes = said_of(decisions, part)
        if not outcomes:
            continue
        if item.finding is None:
            left_out["the text is gone: its time was over"] += 1
        elif {"safe", "unsafe"} <= outcomes:
            left_out[CONTRADICT] += 1
        elif outcomes == {"unsure"}:
            left_out["nobody could say"] += 1
        else:
            hazards = dict.fromkeys(hazard for decision in decisions for v in decision.verdicts if v.label == part for hazard in v.hazards)
            found.append(Labelled(f"{item.id}-{part}", part, conversation_of(item.finding, part), "unsafe" in outcomes, tuple(hazards)))
    return found


def _for_guard(label: Labelled) -> dict[str, Any] | str:
    """As ``charter guard calibrate --data`` reads it: a row with a reply is of the output rails."""
    talk = label.conversation
    if reason := _not_plain(talk):
        return reason
    if label.part == "request" and talk.reply is not None:
        return "the request puts words into the model's mouth"
    row: dict[str, Any] = {"id": label.id, "harmful": label.unsafe}
    asked = talk.without_reply.messages
    if len(asked) == 1 and asked[0].role == "user" and not asked[0].tool_calls:
        row["prompt"] = asked[0].text
    elif asked:
        row["messages"] = [_message(message) for message in asked]
    else:
        return "a reply without a request"
    return row if talk.reply is None else {**row, "reply": talk.reply}


def _for_judges(label: Labelled) -> dict[str, Any] | str:
    """As ``charter judges fit --data``, and a judge set for ``charter judges measure``, read it: a request, its reply, is that harmful."""
    asked = _single(label.conversation)
    if label.part == "request":
        return "a request, and this form is of replies"
    if asked is None:
        return "more than one request and its reply"
    return {"id": label.id, "prompt": asked, "reply": label.conversation.reply, "harmful": label.unsafe}


def _for_classifier(label: Labelled) -> dict[str, Any] | str:
    """As a recipe of ``charter train classifier`` names it under ``own``."""
    asked = _single(label.conversation)
    if asked is None or (label.part == "request" and label.conversation.reply is not None):
        return "more than one request and its reply"
    head = "harmful_request" if label.part == "request" else "harmful_reply"
    codes = [_CODES.get(hazard, hazard) for hazard in label.hazards]
    row: dict[str, Any] = {"text": asked, "labels": {head: int(label.unsafe)}}
    if label.part == "reply":
        row["reply"] = label.conversation.reply
    return {**row, "hazard": codes[0]} if len(codes) == 1 and codes[0] in HAZARDS else row


FORMS: Mapping[str, Callable[[Labelled], dict[str, Any] | str]] = {"guard": _for_guard, "judges": _for_judges, "classifier": _for_classifier}


def _single(talk: Conversation) -> str | None:
    """The request, where there is nothing else but its reply."""
    asked = talk.without_reply.messages
    return asked[0].text if not _not_plain(talk) and len(asked) == 1 and asked[0].role == "user" else None


def _not_plain(talk: Conversation) -> str:
    """Why a row cannot say what the conversation says; '' if it can."""
    if any(message.around for message in talk.messages):
        return "texts beside the chat, such as descriptions of tools, which a row cannot hold"
    if any(not isinstance(message.content, str) and any(part.type != "text" for part in message.content) for message in talk.messages):
        return "pictures or sound, which a row cannot hold"
    if talk.reply is not None and (talk.messages[-1].tool_calls or not isinstance(talk.messages[-1].content, str)):
        return "a reply that calls tools, which a row cannot hold"
    return ""


def _message(message: Message) -> dict[str, Any]:
    content = message.content if isinstance(message.content, str) else [{"type": "text", "text": part.text} for part in message.content]
    calls = [{"id": c.call_id, "type": "function", "function": {"name": c.name, "arguments": c.arguments}} for c in message.tool_calls]
    return {"role": message.role, "content": content, **({"tool_calls": calls} if calls else {})}


def text_of(rows: Iterable[Mapping[str, Any]]) -> str:
    """JSON lines in ASCII."""
    return "".join(json.dumps(row, ensure_ascii=True) + "\n" for row in rows)
