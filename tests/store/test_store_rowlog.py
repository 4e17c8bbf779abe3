"""Append-only rows: whole lines or none, nothing twice, and what was written is what is read."""

from __future__ import annotations

import errno
import io
import json
import os
import tempfile
import types
from pathlib import Path
from typing import Any, Literal, Union, get_args, get_origin

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from charter.core import rows
from charter.core.errors import StoreError
from charter.core.rows import Conversation, Drop, Example, Row, Source, Verdict
from charter.generate.critique import Revision
from charter.store.rowlog import RowLog

GOLDEN = Path(__file__).parent.parent / "golden"
TYPES = [t for t in vars(rows).values() if isinstance(t, type) and issubclass(t, Row) and t is not Row] + [Revision]
TEXT = st.text(max_size=12)
SHARES = st.floats(0.0, 1.0)
SCALARS: dict[Any, st.SearchStrategy[Any]] = {
    str: TEXT,
    int: st.integers(-(2**53), 2**53),
    float: st.floats(allow_nan=False, allow_infinity=False),
    bool: st.booleans(),
    type(None): st.none(),
    Any: st.recursive(st.none() | st.booleans() | st.integers() | TEXT, lambda inner: st.lists(inner) | st.dictionaries(TEXT, inner), max_leaves=4),
}
BOUND: dict[str, st.SearchStrategy[Any]] = {
    "max_tokens": st.integers(1, 9),
    "temperature": st.floats(0.0, 9.0),
    "top_p": st.floats(0.01, 1.0),
    "probability": SHARES,
    "score": st.none() | SHARES,
}


def values(kind: Any) -> st.SearchStrategy[Any]:
    """Values of a field's annotation."""
    origin, inner = get_origin(kind), get_args(kind)
    if origin is Literal:
        return st.sampled_from(inner)
    if origin in (Union, types.UnionType):
        return st.one_of([values(one) for one in inner])
    if origin is tuple:
        return st.lists(values(inner[0]), max_size=2).map(tuple) if inner[-1] is ... else st.tuples(*map(values, inner))
    if origin is dict:
        return st.dictionaries(TEXT, values(inner[1]), max_size=2)
    return rows_of(kind) if kind not in SCALARS else SCALARS[kind]


def rows_of(kind: type[Row]) -> st.SearchStrategy[Any]:
    fields = {name: BOUND[name] if info.metadata else values(info.annotation) for name, info in kind.model_fields.items()}
    if kind is Verdict:
        return st.fixed_dictionaries(fields).map(lambda f: Verdict(**{**f, "score": None if f["outcome"] == "failed" else f["score"]}))
    return st.builds(kind, **fields)


def drop(name: str, reason: str = "tie") -> tuple[str, Drop]:
    return name, Drop(subject=name, reason=reason)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "deep" / "rows.jsonl"


@pytest.mark.parametrize("kind", TYPES)
def test_every_row_type_comes_back_with_its_key_and_id(kind: type[Row]) -> None:
    @settings(deadline=None, max_examples=12)
    @given(st.lists(st.tuples(TEXT, rows_of(kind)), max_size=3))
    def round_trip(items: list[tuple[str, Row]]) -> None:
        items = [(row.key if isinstance(row, Example | rows.Preference) else key, row) for key, row in items]
        wanted: dict[str, Row] = {}
        for key, row in items:
            wanted.setdefault(key, row)
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "rows.jsonl"
            assert RowLog(path, kind).append(items) == len(wanted)
            again = RowLog(path, kind)
            assert again.items() == list(wanted.items())
            assert [row.id for row in again.rows()] == [row.id for row in wanted.values()]
            lines = path.read_text(encoding="ascii").split("\n")[:-1] if path.exists() else []
            assert [(json.loads(line)["key"], json.loads(line)["id"]) for line in lines] == [(key, row.id) for key, row in wanted.items()]

    round_trip()


@pytest.mark.parametrize("kind", TYPES)
def test_golden_rows_are_still_read(kind: type[Row], tmp_path: Path) -> None:
    source = GOLDEN / f"{kind.__name__.lower()}.jsonl"
    copy = tmp_path / "rows.jsonl"
    copy.write_bytes(source.read_bytes())
    log = RowLog(copy, kind)
    assert log.keys() == [json.loads(line)["key"] for line in source.read_text(encoding="utf-8").splitlines()]
    assert all(isinstance(row, kind) for row in log.rows())
    assert copy.read_bytes() == source.read_bytes()


def test_appending_goes_on_where_an_earlier_run_stopped(path: Path) -> None:
    first = RowLog(path, Drop)
    assert (len(first), first.items(), first.rows(), first.keys()) == (0, [], [], [])
    assert not path.exists()
    assert first.append([drop("a"), drop("b")]) == 2
    again = RowLog(path, Drop)
    assert (again.keys(), "a" in again, "c" in again) == (["a", "b"], True, False)
    assert again.append([drop("c")]) == 1
    assert RowLog(path, Drop).keys() == again.keys() == ["a", "b", "c"]


def test_a_key_is_written_once_and_the_first_row_stays(path: Path) -> None:
    log = RowLog(path, Drop)
    assert log.append([drop("a", "first"), drop("a", "second"), drop("b")]) == 2
    before = path.read_bytes()
    assert log.append([drop("a", "third"), drop("b")]) == 0
    assert RowLog(path, Drop).append([drop("a", "third")]) == 0
    assert path.read_bytes() == before
    assert dict(log.items())["a"].reason == "first"


@pytest.mark.parametrize("line", ["not json", "[]", "3", '{"subject": "b", "reason": "x"}', '{"key": 1}', '{"key": "b", "colour": "x"}'])
def test_a_damaged_line_is_named(path: Path, line: str) -> None:
    RowLog(path, Drop).append([drop("a")])
    with path.open("a", encoding="utf-8") as file:
        file.write(line + "\n")
    with pytest.raises(StoreError, match=r"rows\.jsonl: line 2 is damaged or no Drop of this Charter") as caught:
        RowLog(path, Drop).rows()
    assert caught.value.hint == f"mv {path.parent} {path.parent}.damaged and run it again"


def test_a_row_with_its_own_key_is_stored_under_that(path: Path) -> None:
    row = Example(key="x", conversation=Conversation.ask("x"), source=Source(dataset="test"))
    with pytest.raises(ValueError, match="'x' cannot be stored under the key 'other'"):
        RowLog(path, Example).append([("other", row)])
    assert not path.exists()


@pytest.mark.parametrize("torn", [1, 7, -1])
def test_a_line_torn_by_a_kill_is_cut_off_and_can_be_written_again(path: Path, torn: int) -> None:
    RowLog(path, Drop).append([drop("a"), drop("b"), drop("é")])
    whole = path.read_bytes()
    last = whole.rindex(b"\n", 0, -1) + 1
    path.write_bytes(whole[: last + torn] if torn > 0 else whole[:-1])
    before = path.read_bytes()
    log = RowLog(path, Drop)
    assert log.keys() == [key for key, _ in log.items()] == ["a", "b"]
    log.append([drop("a"), drop("b")])
    assert path.read_bytes() == before, "nothing was new, so nothing is cut"
    log.append([drop("a"), drop("b"), drop("é")])
    assert path.read_bytes() == whole


def test_a_file_that_is_one_torn_line_is_empty(path: Path) -> None:
    path.parent.mkdir()
    path.write_text('{"key": "a", "su', encoding="utf-8")
    log = RowLog(path, Drop)
    assert (len(log), log.rows()) == (0, [])
    log.append([drop("b")])
    assert RowLog(path, Drop).keys() == ["b"]


def test_reading_a_log_leaves_a_torn_line_alone(path: Path) -> None:
    RowLog(path, Drop).append([drop("a")])
    with path.open("a", encoding="utf-8") as file:
        file.write('{"key": "b", "su')
    before = path.read_bytes()
    log = RowLog(path, Drop)
    assert (len(log), log.keys(), [key for key, _ in log.latest()]) == (1, ["a"], ["a"])
    log.sync()
    assert path.read_bytes() == before


def test_a_reader_beside_a_writer_loses_nothing(path: Path) -> None:
    """Every byte of a line arrives alone, and between any two somebody reads."""
    RowLog(path, Drop).append([drop("a")])
    spare = path.with_name("spare.jsonl")
    RowLog(spare, Drop).append([drop("b"), drop("é")])
    before, coming = path.read_bytes(), spare.read_bytes()
    for at in range(1, len(coming) + 1):
        with path.open("ab") as file:
            file.write(coming[at - 1 : at])
        keys = ["a", "b", "é"][: 1 + coming[:at].count(b"\n")]
        assert [key for key, _ in RowLog(path, Drop).items()] == keys
    assert path.read_bytes() == before + coming


def test_a_line_cut_and_written_anew_while_it_is_read_is_not_called_damaged(path: Path) -> None:
    RowLog(path, Drop).append([drop("a"), drop("b")])
    torn = path.read_bytes()[:-9]
    path.write_bytes(torn)
    reading = RowLog(path, Drop).iterate()
    assert next(reading)[0] == "a"
    RowLog(path, Drop).append([drop("c", "x" * 9000)])
    assert list(reading) == []
    assert RowLog(path, Drop).keys() == ["a", "c"]


def test_bytes_that_are_no_text_are_a_damaged_line(path: Path) -> None:
    RowLog(path, Drop).append([drop("a")])
    path.write_bytes(path.read_bytes().replace(b"tie", b"t\xffe"))
    with pytest.raises(StoreError, match="line 1 is damaged"):
        RowLog(path, Drop)


def full(handle: int) -> None:
    raise OSError(errno.ENOSPC, "No space left on device")


class Half(io.TextIOWrapper):
    """A file that holds half of what is written to it."""

    def write(self, text: str) -> int:
        super().write(text[: len(text) // 2])
        self.flush()
        raise OSError(errno.ENOSPC, "No space left on device")


@pytest.fixture(params=["fsync", "write"])
def no_space(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """The disk is full: all or half of the text is written, then ENOSPC."""

    if request.param == "fsync":
        monkeypatch.setattr(os, "fsync", full)
    else:
        plain = Path.open

        def opened(self: Path, mode: str = "r", **options: Any) -> Any:
            return Half(plain(self, mode + "b"), **options) if mode in ("a", "w") else plain(self, mode, **options)

        monkeypatch.setattr(Path, "open", opened)


@pytest.mark.usefixtures("no_space")
def test_a_full_disk_leaves_nothing_half_written(path: Path) -> None:
    log = RowLog(path, Drop)
    with pytest.raises(StoreError, match="no space left on the disk; finished rows are kept") as caught:
        log.append([drop("a"), drop("b")])
    assert caught.value.hint.startswith(f"df -h {path.parent}")
    assert path.read_bytes() == b""
    assert "a" not in log


def test_after_a_full_disk_the_rows_before_are_kept_and_work_goes_on(path: Path) -> None:
    log = RowLog(path, Drop)
    log.append([drop("a")])
    before = path.read_bytes()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(StoreError, match="no space left"):
            log.append([drop("b")])
    assert path.read_bytes() == before
    log.append([drop("b")])
    assert RowLog(path, Drop).keys() == ["a", "b"]


def test_a_file_in_the_place_of_the_folder_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x", encoding="utf-8")
    with pytest.raises(StoreError, match=r"file/rows\.jsonl: cannot be written: \w+") as caught:
        RowLog(tmp_path / "file" / "rows.jsonl", Drop).append([drop("a")])
    assert "--out" in caught.value.hint


def test_rows_can_be_read_by_pandas(path: Path) -> None:
    pandas = pytest.importorskip("pandas")
    source = Source(dataset="test")
    rows_in = [Example(key=k, conversation=Conversation.ask(f"{k}\n\u2028?"), harmful=k == "a", source=source) for k in "ab"]
    RowLog(path, Example).append((row.key, row) for row in rows_in)
    frame = pandas.read_json(path, lines=True)
    assert list(frame["key"]) == ["a", "b"]
    assert list(frame["harmful"]) == [True, False]


def test_appends_within_the_interval_are_written_but_not_forced_to_the_disk(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    forced: list[int] = []
    monkeypatch.setattr(os, "fsync", forced.append)
    log = RowLog(path, Drop, sync_s=3600)
    for key in "abc":
        log.append([drop(key)])
        assert RowLog(path, Drop).keys()[-1] == key, "another process, or this one after a kill, sees every row"
    assert len(forced) == 1
    log.sync()
    assert len(forced) == 2
    RowLog(path, Drop).append([drop("d")])
    assert len(forced) == 3


def test_a_row_that_is_replaced_stands_twice_and_the_later_one_holds(path: Path) -> None:
    log = RowLog(path, Drop)
    log.append([drop("a", "first"), drop("b")])
    log.replace([drop("a", "second"), drop("c")])
    log.replace([])
    again = RowLog(path, Drop)
    assert (len(again), again.keys()) == (3, ["a", "b", "c"])
    assert [key for key, _ in again.iterate()] == ["a", "b", "a", "c"]
    assert dict(again.items())["a"].reason == "second"
    for found in (log, again):
        assert [(key, row.reason) for key, row in found.latest()] == [("b", "tie"), ("a", "second"), ("c", "tie")]
