"""Whether an audit log is what was written: a walk along its chain."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from sqlalchemy import LargeBinary, cast, inspect, select

from charter.core.errors import InputError
from charter.store.audit import FIRST, Head, chained
from charter.store.database import FORMS, Database, UnreadableError
from charter.store.tables import audit

_PAGE = 5000


class Verified(NamedTuple):
    """What a walk along the chain found. ``broken`` is the number of the first row that is wrong, None if the log is whole."""

    rows: int
    head: Head
    broken: int | None = None
    why: str = ""


def verify(database: Database, *, key: bytes | None = None, anchors: Sequence[Head] = (), tell: Callable[[int], None] | None = None) -> Verified:
    """Walk the whole log. ``anchors``: heads that were seen before; a log that does not hold them was cut or rewritten. ``tell``: progress.

    Raises UnreadableError where there is no log."""
    _require(database)
    known: dict[int, set[str]] = {}
    for anchor in anchors:  # two hashes of one number: the log was cut there and written on, and only one of them can be in it
        known.setdefault(anchor.seq, set()).add(anchor.hash)
    head, count = Head(0, FIRST), 0
    if _before_first(database):
        return Verified(0, head, 0, "a row stands before the first")
    for seq, request_id, body, found in _rows(database):
        if seq != head.seq + 1:
            return Verified(count, head, head.seq + 1, f"row {head.seq + 1} is missing: row {seq} follows row {head.seq}")
        if chained(head.hash, seq, request_id, body, key) != found:
            return Verified(
                count, head, seq, f"row {seq} is not what was written, or the row before it is not" + ("" if key else ", or a key is needed")
            )
        if not known.get(seq, set()) <= {found}:
            return Verified(count, head, seq, f"row {seq} was another one when it was anchored")
        head, count = Head(seq, found), count + 1
        if tell is not None and count % _PAGE == 0:
            tell(count)
    lost = [seq for seq in known if seq > head.seq]
    if lost:
        return Verified(count, head, head.seq + 1, f"rows {head.seq + 1} to {max(lost)} were there when they were anchored and are gone")
    return Verified(count, head)


def _require(database: Database) -> None:
    with database.read() as connection:
        here = inspect(connection)
        found = {column["name"] for column in here.get_columns(audit.name)} if here.has_table(audit.name) else set()
    if not found >= {column.name for column in audit.columns}:
        raise UnreadableError(f"{database.name}: cannot be verified: it holds no audit log of Charter's", f"check the name; give {FORMS}")


def _before_first(database: Database) -> bool:
    with database.read() as connection:
        return connection.execute(select(audit.c.seq).where(audit.c.seq < 1).limit(1)).first() is not None


def _rows(database: Database) -> Iterator[tuple[int, str, str, str]]:
    """All rows in order, page by page, so that a long log needs no memory."""
    texts: list[Any] = [audit.c.request_id, audit.c.body, audit.c.hash]
    if database.is_sqlite:  # a flipped bit may leave a text that is no UTF-8, which the driver would not give out
        texts = [cast(column, LargeBinary) for column in texts]
    after = 0
    with database.read() as connection:
        while rows := connection.execute(select(audit.c.seq, *texts).where(audit.c.seq > after).order_by(audit.c.seq).limit(_PAGE)).all():
            for seq, *values in rows:
                yield (int(seq), *map(_text, values))  # type: ignore[misc]
            after = rows[-1][0]


def _text(value: Any) -> str:
    return value.decode("utf-8", "backslashreplace") if isinstance(value, bytes) else str(value)


def read_anchors(path: Path) -> list[Head]:
    """Raises InputError naming the line, and for a file without heads: it vouches for nothing, and may have been emptied."""
    heads = []
    try:
        lines = path.read_text(encoding="ascii").splitlines()
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: cannot be read: {getattr(error, 'strerror', None) or 'not an anchor file'}", f"ls -l {path}") from None
    for number, line in enumerate(lines, 1):
        seq, _, found = line.partition(" ")
        if not seq.isdigit() or len(found) != len(FIRST):
            raise InputError(f"{path}: line {number} is no anchor (a number and a hash)", "give the file that the gateway wrote")
        heads.append(Head(int(seq), found))
    if not heads:
        raise InputError(f"{path}: holds no head: nothing was anchored there, or it was emptied", "charter audit verify --anchor COPY")
    return heads
