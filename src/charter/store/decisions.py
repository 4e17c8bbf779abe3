"""Items of the review queue as people read them, and what they decide about each: rows of ``review_item``, ``report`` and ``review_decision``.

A text whose time is over is shown to nobody, whether it was taken out of the database already or not.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from sqlalchemy import Connection, and_, func, insert, or_, select, update

from charter.core.errors import InputError
from charter.core.rows import Decision, Finding
from charter.store.database import Database
from charter.store.review_rows import alone
from charter.store.tables import audit, report, review_decision, review_item

#: What a person asks for, and what is kept as ``state``. An item whose text is gone is no longer open, even before a purge says so.
STATUSES: Mapping[str, str] = {"open": "pending", "decided": "decided", "disputed": "disputed", "expired": "expired"}
_ID = re.compile(r"[0-9a-f]{4,32}")


class Said(NamedTuple):
    """What a user said about the answer; ``kind`` is report or feedback, ``comment`` '' once its time is over."""

    kind: str
    category: str
    comment: str
    created_unix_s: float
    answer: str
    choice_index: int
    verified: bool


class Made(NamedTuple):
    """What one reviewer decided, and when (seconds since 1970)."""

    reviewer: str
    made_unix_s: float
    decision: Decision
    comment: str


class Filed(NamedTuple):
    """One item. ``row`` has the columns of ``review_item`` but the text, ``finding`` is None once its time is over. ``checks``: the rows of the audit
    log about the same text, only where one item is asked for."""

    row: Mapping[str, Any]
    status: str
    finding: Finding | None
    made: tuple[Made, ...]
    said: tuple[Said, ...]
    checks: tuple[dict[str, Any], ...] = ()

    @property
    def id(self) -> str:
        return str(self.row["id"])


def listed(
    database: Database, status: str = "open", *, why: str = "", hazard: str = "", limit: int | None = None, now: float | None = None
) -> tuple[list[Filed], int]:
    """Items of a status ('all': of each), the highest priority first and of equals the oldest; and how many there are without ``limit``."""
    at = time.time() if now is None else now
    here = and_(review_item.c.finding.is_not(None), review_item.c.keep_until_unix_s >= at)
    wanted: list[Any] = []
    if status == "open":
        wanted += [review_item.c.state == "pending", here]
    elif status == "expired":
        wanted += [or_(review_item.c.state == "expired", and_(review_item.c.state == "pending", ~here))]
    elif status != "all":
        wanted += [review_item.c.state == STATUSES[status]]
    wanted += [column == value for column, value in ((review_item.c.why, why), (review_item.c.hazard, hazard)) if value]
    order = (review_item.c.priority.desc(), review_item.c.created_unix_s, review_item.c.id)
    with database.read() as connection:
        count = connection.execute(select(func.count()).select_from(review_item).where(*wanted)).scalar_one()
        rows = connection.execute(select(review_item).where(*wanted).order_by(*order).limit(limit)).mappings().all()
        return [_filed(connection, dict(row), at) for row in rows], int(count)


def one(database: Database, beginning: str, now: float | None = None) -> Filed:
    """The item whose id begins so (at least four digits). Raises InputError if there is none, or several."""
    at = time.time() if now is None else now
    with database.read() as connection:
        row = _row(connection, database, beginning)
        found = _filed(connection, row, at)
        return found._replace(checks=_checks(connection, found))


def unplaced(database: Database) -> int:
    """How many reports are about an answer whose text is not here, so that they are of no item."""
    with database.read() as connection:
        return int(connection.execute(select(func.count()).select_from(report).where(report.c.verified == 0)).scalar_one())


def record(
    database: Database,
    item: Filed,
    made: Made,
    *,
    again: bool,
    state_of: Callable[[Sequence[Decision]], str],
    also: Callable[[Connection], None] | None = None,
) -> Filed:
    """Keep what a reviewer decided about an item, beside what others did; the item as it is then. One transaction, one at a time. ``again``: in place
    of what the same reviewer decided before. ``also``: what is written with it or not at all.

    Raises InputError where the text is gone, or the reviewer has decided already and ``again`` is not said; StoreError."""
    with database.write() as connection:
        alone(database, connection)
        found = _filed(connection, _row(connection, database, item.id), made.made_unix_s)
        if found.finding is None:
            raise InputError(
                f"{item.id}: its text is gone (its time was over), and nobody can decide about what nobody can read", "charter review list"
            )
        before = next((each for each in found.made if each.reviewer == made.reviewer), None)
        if before is not None and not again:
            raise InputError(f"{item.id}: {made.reviewer} has decided about it already", f"charter review show {item.id[:12]}; --again replaces it")
        mine = [review_decision.c.item_id == found.id, review_decision.c.reviewer == made.reviewer]
        values = {"made_unix_s": made.made_unix_s, "decision": made.decision.model_dump_json(exclude_defaults=True), "comment": made.comment}
        if before is None:
            connection.execute(insert(review_decision).values(item_id=found.id, reviewer=made.reviewer, **values))
        else:
            connection.execute(update(review_decision).where(*mine).values(**values))
        state = state_of([each.decision for each in _made(connection, found.id)])
        connection.execute(update(review_item).where(review_item.c.id == found.id).values(state=state))
        if also is not None:
            also(connection)
        return _filed(connection, _row(connection, database, item.id), made.made_unix_s)


def _row(connection: Connection, database: Database, beginning: str) -> Mapping[str, Any]:
    if not _ID.fullmatch(beginning):
        raise InputError(f"{beginning[:40]!r} is no id of an item: four digits of it or more (0-9, a-f)", "charter review list --status all")
    rows = connection.execute(select(review_item).where(review_item.c.id.startswith(beginning)).limit(2)).mappings().all()
    if not rows:
        raise InputError(f"{database.name}: no item's id begins with {beginning}", "charter review list --status all")
    if len(rows) > 1:
        raise InputError(f"{database.name}: several items' ids begin with {beginning}", "give more digits of it: charter review list --status all")
    return dict(rows[0])


def _filed(connection: Connection, row: Mapping[str, Any], at: float) -> Filed:
    kept = row["finding"] if row["keep_until_unix_s"] >= at else None
    finding = Finding.model_validate_json(kept) if kept is not None else None
    status = next((name for name, state in STATUSES.items() if state == row["state"]), str(row["state"]))
    if status == "open" and finding is None:
        status = "expired"
    told = {name: value for name, value in row.items() if name != "finding"}
    made = _made(connection, row["id"])
    if finding is None:  # a comment may quote the text
        made = [each._replace(comment="") for each in made]
    return Filed(told, status, finding, tuple(made), tuple(_said(connection, row, at)))


def _made(connection: Connection, item_id: str) -> list[Made]:
    query = select(review_decision).where(review_decision.c.item_id == item_id).order_by(review_decision.c.made_unix_s, review_decision.c.reviewer)
    rows = connection.execute(query).mappings()
    return [Made(row["reviewer"], row["made_unix_s"], Decision.model_validate_json(row["decision"]), row["comment"]) for row in rows]


def _said(connection: Connection, row: Mapping[str, Any], at: float) -> list[Said]:
    """What was said about the choice that the item is of. About a request nobody reports, and of an old item nobody knows the choice."""
    if row["stage"] != "output" or not row["decision_id"]:
        return []
    about = [report.c.decision_id == row["decision_id"], report.c.verified == 1]
    if row["choice_index"] is not None:
        about.append(report.c.choice_index == row["choice_index"])
    rows = connection.execute(select(report).where(*about).order_by(report.c.created_unix_s, report.c.id)).mappings()
    return [_told(dict(each), at) for each in rows]


def _told(row: Mapping[str, Any], at: float) -> Said:
    kept = row["keep_until_unix_s"] is None or row["keep_until_unix_s"] >= at
    comment = row["comment"] if kept else ""
    return Said(row["kind"], row["category"], comment, row["created_unix_s"], row["answer"], row["choice_index"], bool(row["verified"]))


def _checks(connection: Connection, item: Filed) -> tuple[dict[str, Any], ...]:
    """Rows of the audit log about the text that the item is of: which rails said what of it."""
    if item.finding is None:
        return ()
    bodies = connection.execute(select(audit.c.body).where(audit.c.request_id == item.row["request_id"]).order_by(audit.c.seq)).scalars()
    rows = [json.loads(body) for body in bodies]
    same = {"kind": "decision", "decision_id": item.row["decision_id"], "stage": item.row["stage"]}
    return tuple(row for row in rows if all(row.get(name) == value for name, value in same.items()) and _is_of(row, item))


def _is_of(row: Mapping[str, Any], item: Filed) -> bool:
    assert item.finding is not None
    return item.finding.source.dataset != "guard" or row.get("subject") == item.finding.source.row
