"""Preferences by AI feedback, in both directions: on a harmful request the safe reply against the model's own, on a harmless look-alike the helpful
answer against a refusal.

One principle per comparison, recorded (Bai et al. 2022, section 4); each pair judged in both orders and averaged (Lee et al. 2023, arXiv 2309.00267).
Ties, failed judgements, pairs without a reply on one side and what no row may say (``data.care``) are dropped and counted; the label decides what is
chosen, never the construction of the pair.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import Literal, NamedTuple

from charter.core.errors import ModelError, NoModelError
from charter.core.progress import SILENT, Reporter
from charter.core.rows import Comparison, Drop, Example, Preference
from charter.core.seeds import stream
from charter.data.care import REASON, must_drop, said
from charter.policy.charter import Charter, Principle
from charter.store.runs import RunFolder

#: Comparisons are forced to the disk no more often than this; a killed process loses none.
SYNC_S = 2.0
Direction = Literal["harmless", "helpful"]
#: (conversation, a, b, principle text, principle id, harmful?) -> Comparison judged in both orders
PairJudge = Callable[[Example, str, str, Principle], Comparison]


class Pair(NamedTuple):
    """Two replies to one example. ``expected`` is what the pair was built to show; only used to count disagreements. ``cut``: those of the two that
    the token limit cut."""

    example: Example
    expected: str
    other: str
    direction: Direction
    cut: tuple[str, ...] = ()


class Labelled(NamedTuple):
    preferences: list[Preference]
    dropped: dict[str, int]
    overturned: int


def label(
    pairs: Sequence[Pair],
    charter: Charter,
    judge: PairJudge,
    folder: RunFolder,
    *,
    tie_band: float,
    seed: int,
    patience: int = 16,
    reporter: Reporter = SILENT,
) -> Labelled:
    """Judge every pair and keep those with a clear label. ``tie_band``: a probability within 0.5 ± this is a tie. Resumes pair by pair.

    A pair that the judge's model cannot be asked about is a failed judgement. Raises ValueError if two pairs are about one example: their
    comparisons could not be told apart; ModelError where nothing can be asked at all: the model is not there, no pair could be judged, or
    ``patience`` of them in a row could not. What was judged until then is kept.
    """
    if len({pair.example.key for pair in pairs}) != len(pairs):
        raise ValueError("label needs one pair per example")
    drops = [Drop(subject=pair.example.key, reason=reason) for pair in pairs if (reason := _unfit(pair))]
    unfit = {drop.subject for drop in drops}
    pairs = [pair for pair in pairs if pair.example.key not in unfit]
    comparisons = folder.log("comparisons", Comparison, SYNC_S)
    waiting = [pair for pair in pairs if pair.example.key not in comparisons]
    with reporter.track("comparisons", len(pairs), len(pairs) - len(waiting)) as advance:
        for found in _compared(waiting, charter, judge, seed, patience, reporter, answered=bool(len(comparisons))):
            comparisons.append(found)
            advance(len(found))
    comparisons.sync()
    judged = dict(comparisons.items())
    kept: list[Preference] = []
    overturned = 0
    for pair in pairs:
        row, reason = _preference(pair, judged[pair.example.key], tie_band)
        if row is None:
            drops.append(Drop(subject=pair.example.key, reason=reason))
        else:
            kept.append(row)
            overturned += row.chosen != pair.expected
    folder.log("preferences", Preference).append((row.key, row) for row in kept)
    folder.log("dropped", Drop).append((drop.subject, drop) for drop in drops)
    return Labelled(kept, dict(Counter(drop.reason for drop in drops)), overturned)


def _unfit(pair: Pair) -> str:
    """Why the pair is not worth asking about, or ''. A reply that failed is no worse reply, so nothing can be learned from losing to it."""
    if not pair.expected.strip() or not pair.other.strip():
        return "no reply"
    return REASON if must_drop(said(pair.example.conversation, pair.expected, pair.other)) else ""


def _compared(
    pairs: Sequence[Pair], charter: Charter, judge: PairJudge, seed: int, patience: int, reporter: Reporter, answered: bool
) -> Iterator[list[tuple[str, Comparison]]]:
    """Comparisons by key as they come, failures together with the next success: a run that has to stop leaves none behind, so they are asked again.
    ``answered``: whether the judge has answered before."""
    failed: list[tuple[str, Comparison]] = []
    errors: list[ModelError] = []
    for pair in pairs:
        key = pair.example.key
        try:
            found = _compare(pair, charter, judge, seed)
        except NoModelError:
            raise
        except ModelError as error:
            failed.append((key, Comparison(conversation=pair.example.conversation, a=pair.expected, b=pair.other)))
            errors.append(error)
            if len(failed) >= patience:
                raise errors[0] from None
            reporter.say(f"no comparison for {key}: {error.message}")
            continue
        yield [*failed, (key, found)]
        failed, errors, answered = [], [], True
    if errors and not answered:
        raise errors[0]
    if failed:
        yield failed


def _compare(pair: Pair, charter: Charter, judge: PairJudge, seed: int) -> Comparison:
    hazard = pair.example.hazard
    known = any(h.id == hazard for h in charter.hazards)
    choices = charter.principles_for(hazard) if known else charter.principles
    rng = stream(seed, "preference", pair.example.key)
    sides = [pair.expected, pair.other]
    rng.shuffle(sides)
    return judge(pair.example, sides[0], sides[1], rng.choice(choices))


def _preference(pair: Pair, comparison: Comparison, tie_band: float) -> tuple[Preference | None, str]:
    p = comparison.probability
    if p is None:
        return None, "judge failed"
    if abs(p - 0.5) <= tie_band:
        return None, "tie"
    if (comparison.p_forward or 0.0) > 0.5 > (comparison.p_backward or 0.0) or (comparison.p_forward or 0.0) < 0.5 < (comparison.p_backward or 0.0):
        return None, "orders disagree"
    chosen, rejected = (comparison.a, comparison.b) if p > 0.5 else (comparison.b, comparison.a)
    row = Preference(
        key=pair.example.key,
        conversation=pair.example.conversation,
        chosen=chosen,
        rejected=rejected,
        chosen_cut=chosen in pair.cut,
        rejected_cut=rejected in pair.cut,
        probability=max(p, 1 - p),
        principle=comparison.principle,
        direction=pair.direction,
        source=pair.example.source,
    )
    return row, ""
