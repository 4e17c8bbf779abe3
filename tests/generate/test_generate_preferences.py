"""Preferences: judged in both orders, kept when the label is clear, and every drop counted."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any

import pytest

from charter.core.errors import ModelError, NoModelError
from charter.core.rows import Comparison, Drop, Example, Preference
from charter.generate.preferences import Pair, label
from charter.policy.charter import Charter, Principle
from charter.store.runs import RunFolder

Folder = Callable[[str], RunFolder]


class Judge:
    """P(first is better) by example key, as (P(expected better) asked in order, and in the other order). Raises at call ``dies_at``, and a
    ModelError for the keys in ``refused``."""

    def __init__(self, odds: dict[str, tuple[float | None, float | None]], dies_at: int | None = None, refused: Collection[str] = ()) -> None:
        self.odds, self.dies_at, self.refused = odds, dies_at, refused
        self.calls: list[tuple[str, str, str, str]] = []

    def __call__(self, example: Example, a: str, b: str, principle: Principle) -> Comparison:
        if len(self.calls) == self.dies_at:
            raise KeyboardInterrupt
        self.calls.append((example.key, a, b, principle.id))
        if example.key in self.refused:
            raise ModelError(f"judge: HTTP 400 for {example.key}")
        chances = self.odds[example.key]
        if a != "good":  # the pair came turned round: these are the odds of the other one
            chances = tuple(None if p is None else 1 - p for p in reversed(chances))  # type: ignore[assignment]
        forward, backward = chances
        return Comparison(conversation=example.conversation, a=a, b=b, principle=principle.id, p_forward=forward, p_backward=backward, judge="test")


ODDS: dict[str, tuple[float | None, float | None]] = {
    "clear": (0.9, 0.8),
    "turned": (0.25, 0.125),
    "tie": (0.5, 0.5),
    "near-tie": (0.55, 0.6),
    "no-first": (None, 0.9),
    "no-second": (0.9, None),
    "no-both": (None, None),
    "order": (0.95, 0.4),
    "other-order": (0.3, 0.99),
    "half": (0.5, 0.75),
}


def pairs(fakes: Any, keys: Any = ODDS) -> list[Pair]:
    return [Pair(fakes.goal(key, harmful=n % 2 == 0), "good", "bad", "harmless" if n % 2 == 0 else "helpful") for n, key in enumerate(keys)]


@pytest.mark.parametrize("seed", range(6))
def test_clear_labels_are_kept_and_all_else_is_counted_whichever_way_the_pair_is_laid_out(
    folder: Folder, minimal: Charter, fakes: Any, seed: int
) -> None:
    done = label(pairs(fakes), minimal, Judge(ODDS), folder("a"), tie_band=0.1, seed=seed)
    assert [(p.key, p.chosen, p.rejected) for p in done.preferences] == [("clear", "good", "bad"), ("turned", "bad", "good"), ("half", "good", "bad")]
    assert [p.probability for p in done.preferences] == pytest.approx([0.85, 0.8125, 0.625])
    assert done.dropped == {"tie": 2, "judge failed": 3, "orders disagree": 2}
    assert done.overturned == 1
    assert len(done.preferences) + sum(done.dropped.values()) == len(ODDS)


def test_both_directions_are_labelled_by_the_judge_and_not_by_construction(folder: Folder, minimal: Charter, fakes: Any) -> None:
    odds: dict[str, tuple[float | None, float | None]] = {"a": (0.9, 0.9), "b": (0.9, 0.9), "c": (0.1, 0.1), "d": (0.1, 0.1)}
    done = label(pairs(fakes, odds), minimal, Judge(odds), folder("a"), tie_band=0.1, seed=0)
    assert [(p.direction, p.chosen) for p in done.preferences] == [("harmless", "good"), ("helpful", "good"), ("harmless", "bad"), ("helpful", "bad")]
    assert done.overturned == 2


def test_the_pair_is_laid_out_both_ways_by_seed_and_the_principle_is_recorded(folder: Folder, minimal: Charter, fakes: Any) -> None:
    odds: dict[str, tuple[float | None, float | None]] = {f"k{i}": (0.9, 0.9) for i in range(40)}
    judge, again = Judge(odds), Judge(odds)
    done = label(pairs(fakes, odds), minimal, judge, folder("a"), tie_band=0.1, seed=3)
    label(pairs(fakes, odds), minimal, again, folder("b"), tie_band=0.1, seed=3)
    assert judge.calls == again.calls
    assert 8 < sum(a == "good" for _, a, _, _ in judge.calls) < 32
    assert {p.chosen for p in done.preferences} == {"good"}
    assert [p.principle for p in done.preferences] == [principle for *_, principle in judge.calls]
    assert {principle for *_, principle in judge.calls} == {p.id for p in minimal.principles}


@pytest.mark.parametrize(("band", "kept"), [(0.0, 4), (0.1, 3), (0.2, 2), (0.34, 1), (0.4, 0)])
def test_the_tie_band_is_inclusive(folder: Folder, minimal: Charter, fakes: Any, band: float, kept: int) -> None:
    done = label(pairs(fakes), minimal, Judge(ODDS), folder("a"), tie_band=band, seed=0)
    assert len(done.preferences) == kept


def test_rows_and_drops_are_stored(folder: Folder, minimal: Charter, fakes: Any) -> None:
    opened = folder("a")
    done = label(pairs(fakes), minimal, Judge(ODDS), opened, tie_band=0.1, seed=0)
    assert opened.log("preferences", Preference).rows() == done.preferences
    drops = {row.subject: row.reason for row in opened.log("dropped", Drop).rows()}
    assert opened.log("comparisons", Comparison).keys() == list(ODDS)
    assert drops == {
        "tie": "tie", "near-tie": "tie", "no-first": "judge failed", "no-second": "judge failed", "no-both": "judge failed",
        "order": "orders disagree", "other-order": "orders disagree",
    }  # fmt: skip
    first = done.preferences[0]
    assert (first.conversation.prompt, first.source.dataset) == ("How do I steal a clear?", "test")


@pytest.mark.parametrize("dies_at", [0, 1, 4, 9])
def test_a_broken_run_goes_on_pair_by_pair_to_the_same_files(folder: Folder, minimal: Charter, fakes: Any, dies_at: int) -> None:
    whole = folder("whole")
    wanted = label(pairs(fakes), minimal, Judge(ODDS), whole, tie_band=0.1, seed=0)
    with pytest.raises(KeyboardInterrupt):
        label(pairs(fakes), minimal, Judge(ODDS, dies_at), folder("broken"), tie_band=0.1, seed=0)
    judge, broken = Judge(ODDS), folder("broken")
    assert label(pairs(fakes), minimal, judge, broken, tie_band=0.1, seed=0) == wanted
    assert len(judge.calls) == len(ODDS) - dies_at
    for name in ("comparisons", "preferences", "dropped"):
        assert (whole.path / f"{name}.jsonl").read_bytes() == (broken.path / f"{name}.jsonl").read_bytes()


CLEAR: dict[str, tuple[float | None, float | None]] = {f"k{i}": (0.9, 0.9) for i in range(20)}


@pytest.mark.parametrize("refused", ["k0", "k7", "k19"])
def test_one_pair_that_cannot_be_asked_about_is_counted_and_stops_nothing(folder: Folder, minimal: Charter, fakes: Any, refused: str) -> None:
    opened, judge = folder("a"), Judge(CLEAR, refused={refused})
    done = label(pairs(fakes, CLEAR), minimal, judge, opened, tie_band=0.1, seed=0)
    assert len(done.preferences) == 19
    assert done.dropped == {"judge failed": 1}
    assert opened.log("comparisons", Comparison).keys() == list(CLEAR)
    assert label(pairs(fakes, CLEAR), minimal, judge, opened, tie_band=0.1, seed=0) == done
    assert len(judge.calls) == 20


@pytest.mark.parametrize(("answered", "asked"), [(0, 16), (3, 19)])
def test_a_judge_that_fails_again_and_again_stops_the_run_and_what_was_paid_for_is_kept(
    folder: Folder, minimal: Charter, fakes: Any, answered: int, asked: int
) -> None:
    opened, judge = folder("a"), Judge(CLEAR, refused=set(list(CLEAR)[answered:]))
    with pytest.raises(ModelError, match=f"HTTP 400 for k{answered}$"):
        label(pairs(fakes, CLEAR), minimal, judge, opened, tie_band=0.1, seed=0)
    assert len(judge.calls) == asked
    assert opened.log("comparisons", Comparison).keys() == list(CLEAR)[:answered]
    mended = Judge(CLEAR)
    assert label(pairs(fakes, CLEAR), minimal, mended, opened, tie_band=0.1, seed=0).dropped == {}
    assert len(mended.calls) == 20 - answered


def test_a_few_pairs_of_which_none_can_be_judged_are_no_result(folder: Folder, minimal: Charter, fakes: Any) -> None:
    with pytest.raises(ModelError, match="HTTP 400 for turned"):
        label(pairs(fakes, ["turned", "half"]), minimal, Judge(ODDS, refused=ODDS), folder("a"), tie_band=0.1, seed=0)
    assert len(folder("a").log("comparisons", Comparison)) == 0


def test_a_judge_that_is_not_there_stops_the_run_at_once(folder: Folder, minimal: Charter, fakes: Any) -> None:
    judge = Judge(CLEAR)

    def gone(example: Example, a: str, b: str, principle: Principle) -> Comparison:
        if example.key == "k2":
            raise NoModelError("connection refused")
        return judge(example, a, b, principle)

    with pytest.raises(NoModelError):
        label(pairs(fakes, CLEAR), minimal, gone, folder("a"), tie_band=0.1, seed=0)
    assert folder("a").log("comparisons", Comparison).keys() == ["k0", "k1"]


@pytest.mark.parametrize(("expected", "other"), [("", "bad"), ("good", ""), ("good", " \n"), ("", "")])
def test_a_pair_without_a_reply_on_one_side_is_not_asked_about(folder: Folder, minimal: Charter, fakes: Any, expected: str, other: str) -> None:
    judge = Judge(CLEAR)
    blank = Pair(fakes.goal("k1"), expected, other, "harmless")
    done = label([*pairs(fakes, ["k0"]), blank], minimal, judge, folder("a"), tie_band=0.1, seed=0)
    assert [p.key for p in done.preferences] == [key for key, *_ in judge.calls] == ["k0"]
    assert done.dropped == {"no reply": 1}


def test_two_pairs_about_one_example_are_refused(folder: Folder, minimal: Charter, fakes: Any) -> None:
    with pytest.raises(ValueError, match="one pair per example"):
        label(pairs(fakes, ["tie", "tie"]), minimal, Judge(ODDS), folder("a"), tie_band=0.1, seed=0)


def test_no_pairs_is_no_work(folder: Folder, minimal: Charter) -> None:
    assert label([], minimal, Judge({}), folder("a"), tie_band=0.1, seed=0) == ([], {}, 0)
