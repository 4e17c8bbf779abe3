"""What users say about answers: one report for each answer and reporter, about the text that was really given.

An answer is named by its request id, its decision id, or the id that it calls itself by (``chatcmpl-...``). The last is the model server's own, and
the first may be the client's, so neither is surely unique: an answer of the reporting key goes before those of others, one that another key asked
for is never found by its own name, and a name that stands for several answers stands for none.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

from sqlalchemy import Connection, and_, case, insert, or_, select, update
from sqlalchemy.exc import IntegrityError

from charter.core.errors import InputError
from charter.core.rows import Conversation, Finding, Source, Verdict
from charter.store.database import Database
from charter.store.review_rows import PRIORITY, Answer, Item, alone, conversation_of, hash_of, is_there, item_row
from charter.store.tables import kept_text, report, review_item


class Report(NamedTuple):
    """What somebody says about an answer: ``answer`` is a name of it (see above). No text of it: that is looked up here."""

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


class _TakenError(Exception):
    """Another transaction was first."""


class _Found(NamedTuple):
    """The item that a report belongs to. ``item`` is None if it is queued already."""

    id: str
    item: Item | None


def file_report(database: Database, given: Report, *, keep_s: float, idempotency: str = "") -> Filed:
    """Take a report; ``keep_s``: how long its comment stays, and the text of its item. Who reports the same answer again gets the number of the
    first. Raises InputError where ``idempotency`` was used for another report, StoreError when it cannot be kept."""
    for _ in range(3):
        try:
            with database.write() as connection:
                alone(database, connection)
                return _filed(connection, given, keep_s, idempotency)
        except _TakenError:  # a gateway of an older version filed the same one at the same moment: it is there now
            continue
    raise InputError("the same report is being filed by others", "try again")


def settle(connection: Connection, came: Sequence[Item | Answer], keep_s: float) -> None:
    """Reports that were filed before the text that they are about was here."""
    names = {name for each in came for name in (each.request_id, each.decision_id, each.response_id) if name}
    query = select(report).where(report.c.answer.in_(names), report.c.verified == 0).order_by(report.c.created_unix_s, report.c.id)
    for row in connection.execute(query).mappings().all():
        given = Report(*(row[name] for name in Report._fields))
        decision = _decision(connection, given)
        found = _text(connection, given, decision)
        if found is None:
            continue
        twice = connection.execute(select(report.c.id).where(*_same(given), report.c.decision_id == decision)).first() is not None
        connection.execute(update(report).where(report.c.id == row["id"]).values(verified=1, decision_id=decision))
        if given.kind == "report" and not twice:
            _raise(connection, found, keep_s)


def _filed(connection: Connection, given: Report, keep_s: float, idempotency: str) -> Filed:
    number = hash_of("report", given.key_name, idempotency or "\0".join(map(str, given[:3])) + given.reporter)
    if idempotency:
        used = connection.execute(select(report).where(report.c.id == number)).mappings().first()
        if used is not None:
            over = {"comment"} if not used["comment"] else set()  # its time may be over: the same report, sent again, is still the same
            if any(used[name] != value for name, value in given._asdict().items() if name not in over):
                raise InputError("this idempotency key was used for another report")
            return Filed(number, True, bool(used["verified"]))
    decision = _decision(connection, given)
    named = or_(report.c.answer == given.answer, and_(report.c.decision_id == decision, report.c.decision_id != ""))
    query = select(report.c.id, report.c.verified).where(*_same(given), named).order_by(report.c.created_unix_s, report.c.id)
    first = connection.execute(query).first()
    if first is not None:
        return Filed(first[0], True, bool(first[1]))
    found = _text(connection, given, decision)
    now = time.time()
    row = {**given._asdict(), "id": number, "created_unix_s": now, "keep_until_unix_s": now + keep_s}
    row |= {"verified": int(found is not None), "decision_id": decision}
    try:
        connection.execute(insert(report).values(**row))
    except IntegrityError:
        raise _TakenError from None
    if given.kind == "report" and found is not None:
        _raise(connection, found, keep_s)
    return Filed(number, False, found is not None)


def _same(given: Report) -> list[Any]:
    return [report.c.kind == given.kind, report.c.choice_index == given.choice_index, report.c.reporter == given.reporter]


def _decision(connection: Connection, given: Report) -> str:
    """The decision id of the answer that a report names; '' if none is here, or several are."""
    found: set[tuple[str, bool]] = set()
    for table in (review_item, kept_text):
        own = table.c.key_name == given.key_name
        named = or_(table.c.request_id == given.answer, table.c.decision_id == given.answer, and_(table.c.response_id == given.answer, own))
        found |= {(decision, mine) for decision, mine in connection.execute(select(table.c.decision_id, own).where(named)).all()}
    mine = {decision for decision, own in found if own} or {decision for decision, _ in found}
    return mine.pop() if len(mine) == 1 else ""


def _text(connection: Connection, given: Report, decision: str) -> _Found | None:
    """The answer that a report is about, as it was really given: queued already, or kept. What was queued of another choice, or of the request, is
    not it: nobody may put a text before people by reporting another one."""
    if not decision:
        return None
    kept = connection.execute(select(kept_text).where(kept_text.c.decision_id == decision)).mappings().first()
    talk = conversation_of(kept["conversation"], given.choice_index) if kept is not None else None
    reported = hash_of("reported", decision, str(given.choice_index))
    here = (review_item.c.finding.is_not(None), review_item.c.keep_until_unix_s >= time.time())
    query = select(review_item).where(review_item.c.decision_id == decision, *here)
    rows = connection.execute(query.order_by(review_item.c.stage.desc(), review_item.c.id)).mappings().all()
    for row in sorted(rows, key=lambda each: each["choice_index"] != given.choice_index):  # another choice may have said the same
        if talk is None:
            mine = row["stage"] == "output" and row["choice_index"] == given.choice_index
        else:
            mine = row["why"] != "report" and Finding.model_validate_json(row["finding"]).conversation.id == talk.id
        if mine or row["id"] == reported:
            return _Found(row["id"], None)
    if kept is None or talk is None:
        return None
    finding = _finding(talk, given.category, kept["model"], Source(dataset="reports", revision=kept["policy"], row=kept["request_id"]))
    named = (kept["request_id"], decision, "report", "output", kept["policy"])
    item = Item(*named, finding, kept["key_name"], kept["response_id"], given.choice_index)
    return _Found(reported, item)


def _finding(talk: Conversation, category: str, model: str, source: Source) -> Finding:
    verdict = Verdict(subject=talk.id, outcome="unsure", label=category, reason="reported by a user", judge="user-report", judge_version="1")
    return Finding(
        attack="production",
        family="report",
        target=model,
        goal="output",
        hazard=category,
        conversation=talk,
        verdict=verdict,
        source=source,
    )


def _raise(connection: Connection, found: _Found, keep_s: float) -> None:
    """Queue what was reported, or bring it forward: by one for every reporter, and at least to where an answer stands that was only reported. If its
    text was taken out meanwhile, it comes back."""
    row = {} if found.item is None else {**item_row(found.item, time.time(), keep_s), "id": found.id}
    if row and not is_there(connection, review_item.c.id, found.id):
        connection.execute(insert(review_item).values(**row))
        return
    more = review_item.c.priority + 1
    sooner = case((more < PRIORITY["report"], PRIORITY["report"]), else_=more)
    connection.execute(update(review_item).where(review_item.c.id == found.id).values(priority=sooner))
    if row:
        again = {name: row[name] for name in ("finding", "hazard", "keep_until_unix_s")}
        again["state"] = case((review_item.c.state == "expired", "pending"), else_=review_item.c.state)  # what people decided stands
        gone = or_(review_item.c.finding.is_(None), review_item.c.keep_until_unix_s < time.time())
        again |= dict.fromkeys(("lease_until_unix_s", "holder", "lease_token"))
        connection.execute(update(review_item).where(review_item.c.id == found.id, gone).values(**again))
