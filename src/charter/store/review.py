"""What people should look at: rows of the table ``review_item``, with the text for as long as it may be kept.

The table is made for claiming: an item is free while ``state`` is ``pending`` and its lease, if any, has run out. Texts stand here in the clear:
whoever can read the database can read them. (Encryption of the texts at rest is not here yet; use the database's or the disk's.)
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import NamedTuple

from sqlalchemy import delete, func, insert, select, update

from charter.store.database import Database
from charter.store.reports import settle
from charter.store.review_rows import Answer, Item, alone, answer_row, is_there, item_row
from charter.store.tables import kept_text, report, review_decision, review_item

#: How long a comment stays that a gateway of an older version filed, which does not write its end.
_UNTOLD_S = 30 * 86_400.0
#: How long these may take at a server, seconds: nobody waits for them.
_ADD_S, _PURGE_S = 30.0, 600.0


class Purged(NamedTuple):
    """How many texts were taken out."""

    items: int
    answers: int
    comments: int


def add_items(database: Database, items: Sequence[Item], answers: Sequence[Answer], keep_items_s: float, keep_answers_s: float) -> int:
    """Queue items and keep answers, in one transaction; returns how many items were new. A report that came before the text it is about finds it
    now. Raises StoreError."""
    now = time.time()
    fresh = 0
    with database.write(_ADD_S) as connection:
        alone(database, connection)
        for item in items:
            row = item_row(item, now, keep_items_s)
            if not is_there(connection, review_item.c.id, row["id"]):
                connection.execute(insert(review_item).values(**row))
                fresh += 1
        for answer in answers:
            if not is_there(connection, kept_text.c.decision_id, answer.decision_id):
                connection.execute(insert(kept_text).values(**answer_row(answer, now, keep_answers_s)))
        settle(connection, [*items, *answers], keep_items_s)
    return fresh


def purge(database: Database, now: float | None = None) -> Purged:
    """Take out every text whose time is over, of the database's files too. The rows stay, without it; the audit log never had any. Where somebody
    reads the database at that moment, SQLite's log keeps the texts until the next purge. Raises StoreError."""
    at = time.time() if now is None else now
    with database.write(_PURGE_S) as connection:
        due = [review_item.c.keep_until_unix_s < at, review_item.c.finding.is_not(None)]
        items = connection.execute(update(review_item).where(*due).values(finding=None)).rowcount
        gone = [review_item.c.finding.is_(None), review_item.c.state == "pending"]
        connection.execute(update(review_item).where(*gone).values(state="expired"))
        answers = connection.execute(delete(kept_text).where(kept_text.c.keep_until_unix_s < at)).rowcount
        ends = func.coalesce(report.c.keep_until_unix_s, report.c.created_unix_s + _UNTOLD_S)
        comments = connection.execute(update(report).where(ends < at, report.c.comment != "").values(comment="")).rowcount
        textless = select(review_item.c.id).where(review_item.c.finding.is_(None))
        about = [review_decision.c.item_id.in_(textless), review_decision.c.comment != ""]  # a reviewer's comment may quote the text
        comments += connection.execute(update(review_decision).where(*about).values(comment="")).rowcount
    database.forget()  # each time: the one before may have found it busy
    return Purged(items, answers, comments)
