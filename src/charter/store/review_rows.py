"""Rows of the review queue as they are made: what waits for a person, and the answers whose text is kept for a while."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any, NamedTuple

from sqlalchemy import Connection, select, text

from charter.core.rows import Conversation, Finding
from charter.store.database import Database

#: Higher is sooner. A report brings what is queued already to its own place at least, and every person who reports the same answer adds one.
PRIORITY = {"escalated": 100, "report": 50, "flagged": 10, "sampled": 0}
_QUEUE_LOCK = 0x52455657  # any number, the same in every process


class Item(NamedTuple):
    """Something to look at. ``subject`` and the choice tell items of one decision apart; the same item is never queued twice. ``key_name`` and
    ``response_id``: whose request it was, and how the answer calls itself ('' if it has no name). ``choice_index``: which choice it is of, None for a
    request."""

    request_id: str
    decision_id: str
    why: str
    stage: str
    policy: str
    finding: Finding
    key_name: str = ""
    response_id: str = ""
    choice_index: int | None = None


class Answer(NamedTuple):
    """The conversations that an answer ended, by the choice that went out. The rest as in ``Item``."""

    request_id: str
    decision_id: str
    policy: str
    model: str
    conversations: Mapping[int, Conversation]
    key_name: str = ""
    response_id: str = ""


def alone(database: Database, connection: Connection) -> None:
    """Until this transaction ends nobody else changes the queue: a report and the text that it is about, which come from two gateways at once,
    cannot miss each other. SQLite has one writer anyway."""
    if not database.is_sqlite:
        connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _QUEUE_LOCK})


def item_row(item: Item, now: float, keep_s: float) -> dict[str, Any]:
    choice = [f"choice {item.choice_index}"] if item.choice_index else []  # two choices may say the same; rows of older versions name no choice
    return {
        "id": hash_of(item.decision_id, item.stage, item.finding.source.row or item.finding.conversation.id, *choice),
        "created_unix_s": now,
        "keep_until_unix_s": now + keep_s,
        "request_id": item.request_id,
        "decision_id": item.decision_id,
        "key_name": item.key_name,
        "response_id": item.response_id,
        "choice_index": item.choice_index,
        "why": item.why,
        "stage": item.stage,
        "policy": item.policy[:128],
        "hazard": item.finding.hazard[:64],
        "priority": PRIORITY.get(item.why, 0),
        "state": "pending",
        "finding": _json(item.finding.model_dump(mode="json", exclude_defaults=True)),
    }


def answer_row(answer: Answer, now: float, keep_s: float) -> dict[str, Any]:
    return {
        "request_id": answer.request_id,
        "decision_id": answer.decision_id,
        "key_name": answer.key_name,
        "response_id": answer.response_id,
        "policy": answer.policy[:128],
        "model": answer.model[:128],
        "created_unix_s": now,
        "keep_until_unix_s": now + keep_s,
        "conversation": _json({str(choice): talk.model_dump(mode="json", exclude_defaults=True) for choice, talk in answer.conversations.items()}),
    }


def conversation_of(kept: str, choice: int) -> Conversation | None:
    """The conversation of one choice of a kept answer."""
    talks = json.loads(kept)
    if isinstance(talks, list):  # as rows were before version 0003
        talks = {str(number): talk for number, talk in enumerate(talks)}
    found = talks.get(str(choice))
    return Conversation.model_validate(found) if found is not None else None


def is_there(connection: Connection, column: Any, value: str) -> bool:
    return connection.execute(select(column).where(column == value)).first() is not None


def hash_of(*parts: str) -> str:
    return hashlib.sha256("\0".join(parts).encode("utf-8", "surrogatepass")).hexdigest()[:32]


def _json(value: Any) -> str:
    """JSON that every reader takes: half a character, which JSON can write and nobody can read, becomes a question mark."""
    return json.dumps(value, ensure_ascii=False).encode("utf-8", "replace").decode()
