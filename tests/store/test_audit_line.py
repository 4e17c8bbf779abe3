"""Rows wait for their writer, who is woken for what is in a hurry and told nothing twice."""

from __future__ import annotations

import json
import threading
import time
from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from charter.store.audit import AuditLog, Row, canonical
from charter.store.audit_line import Line
from charter.store.audit_verify import verify
from charter.store.database import Database


class Each(NamedTuple):
    number: int
    hurried: bool


def test_rows_are_taken_in_order_as_soon_as_one_is_in_a_hurry() -> None:
    line: Line[Each] = Line()
    for number in range(3):
        line.put(Each(number, False))
    threading.Timer(0.05, line.put, [Each(3, True)]).start()
    began = time.monotonic()
    assert [each.number for each in line.take(10, 30.0)] == [0, 1, 2, 3]
    assert time.monotonic() - began < 10
    assert len(line) == 0


def test_rows_in_no_hurry_are_taken_after_a_while_and_never_more_than_asked() -> None:
    line: Line[Each] = Line()
    for number in range(5):
        line.put(Each(number, number == 4))
    assert [each.number for each in line.take(3, 30.0)] == [0, 1, 2]
    assert line.wait(0.0), "what is left is still in a hurry, whatever was rung before"
    assert [each.number for each in line.take(3, 30.0)] == [3, 4]
    line.put(Each(5, False))
    assert [each.number for each in line.take(3, 0.01)] == [5]
    assert not line.wait(0.01)


def test_the_end_keeps_nobody_waiting() -> None:
    line: Line[Each] = Line()
    line.put(Each(0, False))
    line.end()
    assert line.wait(None)
    assert [each.number for each in line.take(3, 30.0)] == [0]
    assert line.wait(None)
    assert line.take(3, 30.0) == []


def test_no_row_of_many_threads_is_lost_or_taken_twice() -> None:
    line: Line[Each] = Line()
    threads = [threading.Thread(target=lambda k=k: [line.put(Each(k * 500 + n, n % 7 == 0)) for n in range(500)]) for k in range(4)]
    for thread in threads:
        thread.start()
    taken: list[int] = []
    while len(taken) < 2000:
        assert line.wait(10)
        taken += [each.number for each in line.take(100, 0.01)]
    assert sorted(taken) == list(range(2000))
    assert [n for n in taken if n < 500] == list(range(500)), "the rows of each in order"


PLAIN = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(-(2**53), 2**53), st.floats(allow_nan=False, allow_infinity=False), st.text(max_size=8)),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=5), inner, max_size=3)),
    max_leaves=8,
)


@given(st.dictionaries(st.text(max_size=5), PLAIN, max_size=5))
def test_a_body_is_stored_as_ascii_with_sorted_keys_and_comes_back(body: dict[str, object]) -> None:
    told = canonical(body)
    assert told == json.dumps(body, sort_keys=True, separators=(",", ":")), "as every version of Charter wrote it"
    assert json.loads(told) == body
    assert list(json.loads(told)) == sorted(body)


def test_numbers_and_signs_are_written_as_ever() -> None:
    assert canonical({"s": 4.9e-05, "b": 1e16, "x": "\x7f"}) == '{"b":1e+16,"s":4.9e-05,"x":"\\u007f"}'


@pytest.mark.parametrize("wrong", [float("nan"), float("inf"), object(), b"ab", {1, 2}])
def test_what_is_no_json_is_none_also_beside_what_is(wrong: object) -> None:
    with pytest.raises((TypeError, ValueError)):
        canonical({"a": None, "b": [{"c": wrong}]})


def test_a_file_s_connection_is_kept_between_commits_and_given_up_after_a_failure(tmp_path, monkeypatch) -> None:
    database = Database(tmp_path / "a.db")
    given_out, plain = [], database.engine.raw_connection
    monkeypatch.setattr(database.engine, "raw_connection", lambda: given_out.append(1) or plain())
    for number in range(3):
        log = AuditLog(database)
        assert log.append(Row("r", {})).result(10) == number + 1
        log.close()
    assert len(given_out) == 1

    def fails() -> None:
        with database.append() as cursor:
            cursor.execute("INSERT INTO audit VALUES (4, 'r', '{}', 'x')")
            raise KeyError

    with pytest.raises(KeyError):
        fails()
    log = AuditLog(database)
    assert log.append(Row("r", {})).result(10) == 4, "nothing of what failed is there"
    log.close()
    assert len(given_out) == 2
    assert verify(database).broken is None
    database.close()
