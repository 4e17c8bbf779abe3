"""Named streams of randomness, the same everywhere; errors that tell the next command; the silent reporter."""

from __future__ import annotations

import pickle

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from charter.core import errors
from charter.core.progress import SILENT
from charter.core.seeds import derive, stream

GOLDEN = [1609362278, 1865164271, 715701896, 2045252555, 1598147158]
FIRST = 0.9978689530700372


def test_seeds_are_the_same_on_every_machine() -> None:
    # golden: a change here changes every run
    assert [derive(0), derive(0, "a"), derive(1, "a"), derive(0, "a", "b"), derive(0, "ab")] == GOLDEN
    assert stream(7, "split", "theft").random() == FIRST


@settings(deadline=None)
@given(st.integers(), st.lists(st.text(st.characters(exclude_characters="\x1f", exclude_categories=[])), max_size=3))
def test_streams_are_31_bit_and_independent_of_each_other(seed: int, names: list[str]) -> None:
    assert 0 <= derive(seed, *names) < 2**31
    assert derive(seed, *names) == derive(seed, *names)
    first, other = stream(seed, *names), stream(seed, *names, "more")
    drawn = [first.random() for _ in range(3)]
    other.random()
    again = stream(seed, *names)
    assert [again.random() for _ in range(3)] == drawn


ERRORS = [e for e in vars(errors).values() if isinstance(e, type) and issubclass(e, errors.CharterError)]


@pytest.mark.parametrize("kind", ERRORS)
def test_errors_are_one_line_and_the_next_command_and_survive_pickling(kind: type[errors.CharterError]) -> None:
    assert str(kind("it broke", "charter doctor")) == "it broke\n  try: charter doctor"
    assert str(kind("it broke")) == "it broke"
    copy = pickle.loads(pickle.dumps(kind("it broke", "charter doctor")))
    assert (type(copy), copy.message, copy.hint, copy.exit_code) == (kind, "it broke", "charter doctor", kind.exit_code)


def test_only_mistakes_of_use_exit_with_2() -> None:
    assert {e.__name__ for e in ERRORS if e.exit_code == errors.EXIT_USAGE} == {"InputError", "DataError"}
    assert len({errors.EXIT_PASSED, errors.EXIT_ERROR, errors.EXIT_USAGE, errors.EXIT_GATE_FAILED}) == 4


def test_the_silent_reporter_says_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    with SILENT.stage("x"), SILENT.track("y", 3) as advance:
        advance()
        advance(2)
        SILENT.say("hello")
    assert capsys.readouterr() == ("", "")
