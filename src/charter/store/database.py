"""SQL databases: SQLite files by default, PostgreSQL by URL. One code path; the differences are all here.

SQLite runs in WAL mode with ``synchronous=FULL`` (a commit is on the disk when it returns) and takes its write lock when a transaction begins, so
that two writers wait for each other and never fail half-way.
"""

from __future__ import annotations

import os
import sqlite3
import weakref
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

try:
    from sqlalchemy import ClauseElement, Connection, Engine, create_engine, event, text
    from sqlalchemy.engine import URL, make_url
    from sqlalchemy.exc import ArgumentError, DBAPIError, SQLAlchemyError, TimeoutError
    from sqlalchemy.pool import QueuePool
except ImportError:  # pragma: no cover - the light install
    from charter.core.errors import MissingPartError
    from charter.core.installing import install

    raise MissingPartError("SQL tables need SQLAlchemy, which is not installed", install("serve")) from None

from charter.core.errors import EXIT_USAGE, InputError, StoreError
from charter.store.overdue import Overdue

_MIGRATIONS = Path(__file__).parent / "migrations"
_UPGRADE_LOCK = 0x43484152  # any number, the same in every process
#: A peer that the network lost is noticed within some 11 s of silence, and what is sent and not acknowledged within 5 s. The URL may say otherwise.
_SOCKET = {"keepalives_idle": 5, "keepalives_interval": 2, "keepalives_count": 3, "tcp_user_timeout": 5000}
FORMS = "a file such as charter.db, or postgresql://USER@HOST/NAME"


class UnreachableError(StoreError):
    """A database that is locked, or whose server is away: the same may go well later."""


class MissingError(InputError):
    """A SQLite file that is not there and is not to be made."""


class UnreadableError(StoreError):
    """A file that is no database of Charter's, or a damaged one: another file has to be named, as for any other input that cannot be read."""

    exit_code = EXIT_USAGE


class Database:
    """A database whose tables are those of this Charter. Safe for many threads."""

    def __init__(self, spec: str | Path, *, password: str = "", busy_s: float = 5.0, make: bool = True, limit_s: float | None = None) -> None:
        """``spec``: the path of a SQLite file, or a URL. ``password``: in place of the URL's. ``busy_s``: how long to wait for another writer.
        ``make``: tables are made or upgraded; else the database is read as it is, and nothing in it can be changed. ``limit_s``: how long one
        piece of work at a server may take before its connection is closed, whatever the server says or does not say; None: as long as it takes.
        (SQLite has no server: there ``busy_s`` is all that is waited for.)

        Raises InputError for a URL that is none; MissingError, without ``make``, for a file that is not there; UnreadableError for one that is no
        database or a damaged one; StoreError where it cannot be opened for another reason or belongs to a newer Charter.
        """
        url = _url(spec)
        self.url = url.set(password=password) if password and url.host else url
        self.name = self.url.render_as_string(hide_password=True)
        if not make and is_missing(spec):
            raise MissingError(f"{url.database}: there is no such file", f"give {FORMS}")
        self.engine = _engine(self.url, busy_s, make, limit_s)
        self._driver: Any = self.engine.dialect.loaded_dbapi
        self._limit_s = None if self.is_sqlite else limit_s
        self._overdue: Overdue | None = None
        #: A connection to a file that ``append`` keeps between two times: the pool takes as long to give one as the rows take to be written.
        self._kept: list[Any] = []
        self._keeps, self._closed = self.is_sqlite and isinstance(self.engine.pool, QueuePool), False
        if self.is_sqlite:  # a file that nobody closed is closed when it is let go; what watches a server's connections holds on to all of this
            weakref.finalize(self, _let_go, self.engine, self._kept).atexit = False
        try:
            if make and self.is_sqlite and url.database:
                _private(Path(url.database))
            self._upgrade(make)  # which may take its time
            self._keep_limits()
        except StoreError:
            self.engine.dispose()
            raise
        except (SQLAlchemyError, OSError, UnicodeDecodeError) as error:
            self.engine.dispose()
            kind = UnreadableError if _is_damaged(error) else StoreError
            raise kind(
                f"{self.name}: cannot be opened: {_said(error)}", f"check that it is there and may be {'written' if make else 'read'}; give {FORMS}"
            ) from None

    @property
    def is_sqlite(self) -> bool:
        return self.engine.dialect.name == "sqlite"

    @property
    def server_limits(self) -> dict[str, str]:
        """Time-outs of a transaction at the server, in milliseconds: it lets go of its locks although nobody is left to tell it to."""
        return _server_limits(self._limit_s) if self._limit_s is not None else {}

    @contextmanager
    def write(self, limit_s: float | None = None) -> Iterator[Connection]:
        """A transaction that writes: committed at the end, durable when this returns. ``limit_s``: in place of the database's, where it has one.
        Raises StoreError, UnreachableError among them."""
        try:
            with self.engine.begin() as connection:
                if limit_s is not None and self._overdue is not None:
                    self._overdue.extend(connection.connection.info, limit_s)
                    connection.exec_driver_sql(_setting(_server_limits(limit_s)))
                yield connection
        except (SQLAlchemyError, UnicodeDecodeError) as error:  # SQLite says where a file is damaged, in the bytes of the damage
            raise self._unwritten(error) from None

    @contextmanager
    def append(self) -> Iterator[Any]:
        """As ``write``, with the driver's own cursor, for what is written at every request: nothing is put together anew. Statements are those of
        ``driver_sql``."""
        try:
            fairy = self._connection()
            try:
                cursor = fairy.cursor()
                if self.is_sqlite:
                    cursor.execute("BEGIN IMMEDIATE")
                yield cursor
                fairy.commit()
                cursor.close()
            except BaseException:
                fairy.invalidate()  # lost, or in the middle of something: the next caller gets another one
                fairy.close()
                raise
            if self._keeps and not self._kept and not self._closed:
                self._kept.append(fairy)
                if self._closed:  # meanwhile: nobody else would give it back
                    _give_back(self._kept)
            else:
                fairy.close()
        except (SQLAlchemyError, self._driver.Error, UnicodeDecodeError) as error:
            raise self._unwritten(error) from None

    def _connection(self) -> Any:
        try:
            return self._kept.pop()
        except IndexError:
            return self.engine.raw_connection()

    def _unwritten(self, error: Exception) -> StoreError:
        original = _original(error)
        lost = isinstance(original, (self._driver.OperationalError, self._driver.InterfaceError)) or isinstance(error, TimeoutError)
        lost = lost or (isinstance(error, DBAPIError) and error.connection_invalidated)
        kind = UnreachableError if lost else UnreadableError if _is_damaged(error) else StoreError
        return kind(f"{self.name}: cannot be written: {_said(error)}", "check the disk, or the database server")

    def driver_sql(self, statement: ClauseElement) -> str:
        """``statement`` for the cursor of ``append``, which takes its values as a mapping."""
        kind: Any = type(self.engine.dialect)
        return str(statement.compile(dialect=kind(paramstyle="named" if self.is_sqlite else "pyformat")))

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """A connection to read with. Raises StoreError, UnreadableError among them."""
        try:
            with self.engine.connect().execution_options(reads=True) as connection:
                yield connection
        except (SQLAlchemyError, UnicodeDecodeError) as error:  # SQLite says where a file is damaged, in the bytes of the damage
            kind = UnreadableError if _is_damaged(error) else StoreError
            raise kind(f"{self.name}: cannot be read: {_said(error)}", "check the file, or the database server") from None

    def version(self) -> tuple[str | None, str]:
        """The schema's version here, and that of this Charter."""
        from alembic.migration import MigrationContext

        with self.read() as connection:
            return MigrationContext.configure(connection).get_current_revision(), _head()

    def forget(self) -> bool:
        """Leave nothing of what was deleted in SQLite's files: it stays readable in the log beside the database until that is emptied. Never waits,
        for writers would wait with it, and never raises: False where somebody reads or writes just now, and then it has to be asked again. True where
        there is no such log; a server's files are the server's."""
        if not self.is_sqlite:
            return True
        try:
            fairy = self.engine.raw_connection()
            try:
                cursor = fairy.cursor()
                [patience_ms] = cursor.execute("PRAGMA busy_timeout").fetchone()
                cursor.execute("PRAGMA busy_timeout=0")
                busy = cursor.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]
                cursor.execute(f"PRAGMA busy_timeout={patience_ms}")
            except BaseException:
                fairy.invalidate()
                raise
            finally:
                fairy.close()
        except (SQLAlchemyError, self._driver.Error):
            return False
        return not busy

    def close(self) -> None:
        self._closed = True
        _give_back(self._kept)
        self.engine.dispose()
        if self._overdue is not None:
            self._overdue.close()

    def _keep_limits(self) -> None:
        if self._limit_s is None:
            return
        self.engine.dispose()  # connections that nobody watches
        self._overdue = Overdue(self.engine, self._limit_s)
        limits = _setting(self.server_limits)

        @event.listens_for(self.engine, "begin")
        def _begun(connection: Connection) -> None:
            connection.exec_driver_sql(limits)

    def _upgrade(self, make: bool) -> None:
        from alembic import command
        from alembic.migration import MigrationContext
        from alembic.script import ScriptDirectory

        config = _alembic()
        known = {script.revision for script in ScriptDirectory.from_config(config).walk_revisions()}
        with self.engine.connect().execution_options(reads=True) as connection:
            here = MigrationContext.configure(connection).get_current_revision()
            if not make and here is not None and here not in known:
                raise self._newer(here)
            if not make or here == _head():
                return
        with self.engine.begin() as connection:
            if not self.is_sqlite:  # of several replicas that start together one upgrades
                connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _UPGRADE_LOCK})
            here = MigrationContext.configure(connection).get_current_revision()
            if here is not None and here not in known:
                raise self._newer(here)
            if here != _head():
                config.attributes["connection"] = connection
                command.upgrade(config, "head")

    def _newer(self, here: str) -> StoreError:
        return StoreError(f"{self.name}: its tables are of a newer Charter (version {here})", "git pull && pip install .  # in the clone")


def is_missing(spec: str | Path) -> bool:
    """Whether ``spec`` is a SQLite file that is not there. Raises InputError for a URL that is none."""
    url = _url(spec)
    return url.drivername == "sqlite" and not Path(url.database or "").is_file()


def _url(spec: str | Path) -> URL:
    given = str(spec)
    if "://" not in given:
        if not given or "\0" in given:
            raise InputError(f"{given!r} names no database", f"give {FORMS}")
        return URL.create("sqlite", database=str(Path(given).expanduser()))
    try:
        url = make_url(given)
    except ArgumentError:
        raise InputError("the URL of the database cannot be read", f"give {FORMS}") from None
    if url.drivername in ("postgresql", "postgres", "postgresql+psycopg"):
        return url.set(drivername="postgresql+psycopg")
    if url.drivername == "sqlite":
        return url
    raise InputError(f"{url.drivername}: this kind of database is not served", f"give {FORMS}")


def _server_limits(limit_s: float) -> dict[str, str]:
    names = ("lock_timeout", "statement_timeout", "idle_in_transaction_session_timeout")
    return dict.fromkeys(names, str(max(1, int(limit_s * 1000))))


def _setting(limits: Mapping[str, str]) -> str:
    """A statement that sets these to the end of the transaction, and no longer: a pooler between may give the connection to others then."""
    return "SELECT " + ", ".join(f"set_config('{name}', '{value}', true)" for name, value in limits.items())


def _private(path: Path) -> None:
    """Make the file of a new database, which holds people's texts and hashes of keys, for its owner alone; its log and its index follow it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if not str(path).startswith((":memory:", "file:")):
        with suppress(FileExistsError):
            os.close(os.open(path, os.O_CREAT | os.O_EXCL, 0o600))


def _give_back(kept: list[Any]) -> None:
    with suppress(IndexError):
        while True:
            kept.pop().close()


def _let_go(engine: Engine, kept: list[Any]) -> None:
    _give_back(kept)
    engine.dispose()


def _engine(url: URL, busy_s: float, make: bool = True, limit_s: float | None = None) -> Engine:
    if url.drivername != "sqlite":
        waits = {"connect_timeout": max(1, int(busy_s)), **_SOCKET}
        return create_engine(
            url,
            pool_pre_ping=limit_s is None,  # else ``Overdue`` asks
            pool_size=4,
            pool_timeout=30.0 if limit_s is None else limit_s,
            connect_args={name: value for name, value in waits.items() if name not in url.query},
            execution_options={"postgresql_readonly": not make},
        )
    engine = create_engine(url, connect_args={"timeout": busy_s})

    @event.listens_for(engine, "connect")
    def _connected(connection: Any, _: Any) -> None:
        connection.isolation_level = None  # transactions are begun below, not by the driver
        # what is deleted is overwritten: texts whose time is over may not stay in free pages
        for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON", "secure_delete=ON") if make else ("query_only=ON",):
            connection.execute(f"PRAGMA {pragma}")

    @event.listens_for(engine, "begin")
    def _begun(connection: Connection) -> None:
        connection.exec_driver_sql("BEGIN IMMEDIATE" if not connection.get_execution_options().get("reads") else "BEGIN")

    return engine


def _alembic() -> Any:
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(_MIGRATIONS).replace("%", "%%"))
    return config


def _head() -> str:
    from alembic.script import ScriptDirectory

    return ScriptDirectory.from_config(_alembic()).get_current_head() or ""


def _is_damaged(error: Exception) -> bool:
    """Whether SQLite cannot read a file for what stands in it. SQLITE_ERROR is a table, column or file format that is not ours."""
    if isinstance(error, UnicodeDecodeError):
        return True
    code = getattr(_original(error), "sqlite_errorcode", None)
    return code is not None and code & 0xFF in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_FORMAT, sqlite3.SQLITE_ERROR)


def _said(error: Exception) -> str:
    """What a driver says, in one line and without the statement or its values."""
    if isinstance(error, UnicodeDecodeError):
        return "its names are damaged"
    original = _original(error)
    first = str(original).strip().splitlines()
    return first[0][:200] if first else type(original).__name__


def _original(error: BaseException) -> BaseException:
    """What the driver raised."""
    return error.orig if isinstance(error, DBAPIError) and error.orig is not None else error
