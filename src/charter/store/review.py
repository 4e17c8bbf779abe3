"""What people should look at: rows of the table ``review_item``, with the text for as long as it may be kept, and reports of users.

The table is made for claiming: an item is free while ``state`` is ``pending`` and its lease, if any, has run out. Texts stand here in the clear:
whoever can read the database can read them. (Encryption of the texts at rest is not here yet; use the database's or the disk's.)
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

from sqlalchemy import Connection, delete, func, insert, or_, select, update
from sqlalchemy.exc import IntegrityError

from charter.core.errors import InputError
from charter.core.rows import Conversation, Finding, Source, Verdict
from charter.store.database import Database
from charter.store.tables import kept_text, report, review_item

#: Higher is sooner. A report adds one for every further person who reports the same answer.
PRIORITY = {"escalated": 100, "report": 50, "flagged": 10, "sampled": 0}


class Item(NamedTuple):
    """Something to look at. ``subject`` tells items of one decision apart; the same item is never queued twice."""

    request_id: str
    decision_id: str
    why: str
    stage: str
    policy: str
    finding: Finding


class Answer(NamedTuple):
    """The conversations that an answer ended, one for each choice that went out."""

    request_id: str
    decision_id: str
    policy: str
    model: str
    conversations: tuple[Conversation, ...]


class Report(NamedTuple):
    """What somebody says about an answer: ``answer`` is its request id or decision id. No text of it: that is looked up here."""

    kind: Literal["report", "feedback"]
    answer: str
    choice_index: int
    category: str
    comment: str
    reporter: str
    key_name: str


class Filed(NamedTuple):
    """``duplicate``: it was filed before, and this is its number. ``verified``: the answer's text was found here."""

    id: str
    duplicate: bool
    verified: bool


class Purged(NamedTuple):
    """How many texts were taken out."""

    items: int
    answers: int
    comments: int


def add_items(database: Database, items: Sequence[Item], answers: Sequence[Answer], keep_items_s: float, keep_answers_s: float) -> int:
    """Queue items and keep answers, in one transaction; returns how many items were new. Raises StoreError."""
    now = time.time()
    fresh = 0
    with database.write() as connection:
        for item in items:
            row = _item(item, now, keep_items_s)
            if not _there(connection, review_item.c.id, row["id"]):
                connection.execute(insert(review_item).values(**row))
                fresh += 1
        for answer in answers:
            if not _there(connection, kept_text.c.request_id, answer.request_id):
                texts = _json([talk.model_dump(mode="json", exclude_defaults=True) for talk in answer.conversations])
                times = {"created_unix_s": now, "keep_until_unix_s": now + keep_answers_s}
                named = {
                    "request_id": answer.request_id,
                    "decision_id": answer.decision_id,
                    "policy": answer.policy[:128],
                    "model": answer.model[:128],
                }
                connection.execute(insert(kept_text).values(**named, **times, conversation=texts))
    return fresh


def file_report(database: Database, given: Report, *, keep_s: float, idempotency: str = "") -> Filed:
    """Take a report. Who reports the same answer again gets the number of the first. Raises InputError where ``idempotency`` was used for another
    report, StoreError when it cannot be kept."""
    for _ in range(3):
        try:
            with database.write() as connection:
                return _filed(connection, given, keep_s, idempotency)
        except _TakenError:  # somebody filed the same one at the same moment: it is there now
            continue
    raise InputError("the same report is being filed by others", "try again")


def purge(database: Database, now: float | None = None) -> Purged:
    """Take out every text whose time is over. The rows stay, without it; the audit log never had any. Raises StoreError."""
    at = time.time() if now is None else now
    old = report.c.created_unix_s
    with database.write() as connection:
        due = [review_item.c.keep_until_unix_s < at, review_item.c.finding.is_not(None)]
        items = connection.execute(update(review_item).where(*due).values(finding=None)).rowcount
        gone = [review_item.c.finding.is_(None), review_item.c.state == "pending"]
        connection.execute(update(review_item).where(*gone).values(state="expired"))
        answers = connection.execute(delete(kept_text).where(kept_text.c.keep_until_unix_s < at)).rowcount
        longest = connection.execute(select(func.max(review_item.c.keep_until_unix_s - review_item.c.created_unix_s))).scalar()
        stays_s = float(longest) if longest is not None else 30 * 86_400.0
        comments = connection.execute(update(report).where(old < at - stays_s, report.c.comment != "").values(comment="")).rowcount
    return Purged(items, answers, comments)


class _TakenError(Exception):
    """Another transaction was first."""


def _filed(connection: Connection, given: Report, keep_s: float, idempotency: str) -> Filed:
    same = [
        report.c.kind == given.kind,
        report.c.answer == given.answer,
        report.c.choice_index == given.choice_index,
        report.c.reporter == given.reporter,
    ]
    number = _hash("report", given.key_name, idempotency or "\0".join(map(str, given[:3])) + given.reporter)
    if idempotency:
        used = connection.execute(select(report).where(report.c.id == number)).mappings().first()
        if used is not None:
            if any(used[name] != value for name, value in given._asdict().items()):
                raise InputError("this idempotency key was used for another report")
            return Filed(number, True, bool(used["verified"]))
    first = connection.execute(select(report.c.id, report.c.verified).where(*same)).first()
    if first is not None:
        return Filed(first[0], True, bool(first[1]))
    found = _text(connection, given)
    row = {**given._asdict(), "id": number, "created_unix_s": time.time(), "verified": int(found is not None)}
    try:
        connection.execute(insert(report).values(**row))
    except IntegrityError:
        raise _TakenError from None
    if given.kind == "report" and found is not None:
        _raise(connection, given, found, keep_s)
    return Filed(number, False, found is not None)


class _Found(NamedTuple):
    item: str
    finding: Finding | None
    request_id: str
    decision_id: str
    policy: str


def _text(connection: Connection, given: Report) -> _Found | None:
    """The answer that a report is about, as it was really given: queued already, or kept."""
    named = or_(review_item.c.request_id == given.answer, review_item.c.decision_id == given.answer)
    query = select(review_item).where(named, review_item.c.finding.is_not(None)).order_by(review_item.c.stage.desc(), review_item.c.id)
    for queued in connection.execute(query).mappings():
        if queued["why"] != "report" or queued["id"] == _hash("reported", queued["request_id"], str(given.choice_index)):
            return _Found(queued["id"], None, queued["request_id"], queued["decision_id"], queued["policy"])
    kept = (
        connection.execute(select(kept_text).where(or_(kept_text.c.request_id == given.answer, kept_text.c.decision_id == given.answer)).limit(1))
        .mappings()
        .first()
    )
    talks = json.loads(kept["conversation"]) if kept is not None else []
    if kept is None or given.choice_index >= len(talks):
        return None
    talk = Conversation.model_validate(talks[given.choice_index])
    verdict = Verdict(subject=talk.id, outcome="unsure", label=given.category, reason="reported by a user", judge="user-report", judge_version="1")
    finding = Finding(
        attack="production",
        family="report",
        target=kept["model"],
        goal="output",
        hazard=given.category,
        conversation=talk,
        verdict=verdict,
        source=Source(dataset="reports", revision=kept["policy"], row=kept["request_id"]),
    )
    return _Found(_hash("reported", kept["request_id"], str(given.choice_index)), finding, kept["request_id"], kept["decision_id"], kept["policy"])


def _raise(connection: Connection, given: Report, found: _Found, keep_s: float) -> None:
    """Queue what was reported, or bring it forward by one for every further reporter."""
    if found.finding is not None and not _there(connection, review_item.c.id, found.item):
        item = Item(found.request_id, found.decision_id, "report", "output", found.policy, found.finding)
        connection.execute(insert(review_item).values(**{**_item(item, time.time(), keep_s), "id": found.item}))
        return
    connection.execute(update(review_item).where(review_item.c.id == found.item).values(priority=review_item.c.priority + 1))


def _item(item: Item, now: float, keep_s: float) -> dict[str, Any]:
    return {
        "id": _hash(item.decision_id, item.stage, item.finding.source.row or item.finding.conversation.id),
        "created_unix_s": now,
        "keep_until_unix_s": now + keep_s,
        "request_id": item.request_id,
        "decision_id": item.decision_id,
        "why": item.why,
        "stage": item.stage,
        "policy": item.policy[:128],
        "hazard": item.finding.hazard[:64],
        "priority": PRIORITY.get(item.why, 0),
        "state": "pending",
        "finding": _json(item.finding.model_dump(mode="json", exclude_defaults=True)),
    }


def _json(value: Any) -> str:
    """JSON that every reader takes: half a character, which JSON can write and nobody can read, becomes a question mark."""
    return json.dumps(value, ensure_ascii=False).encode("utf-8", "replace").decode()


def _there(connection: Connection, column: Any, value: str) -> bool:
    return connection.execute(select(column).where(column == value)).first() is not None


def _hash(*parts: str) -> str:
    return hashlib.sha256("\0".join(parts).encode("utf-8", "surrogatepass")).hexdigest()[:32]
