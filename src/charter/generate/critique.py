"""Critique and revise (Constitutional AI, phase 1: Bai et al. 2022, arXiv 2212.08073, section 3): rounds over all goals, one principle drawn per
goal and round and recorded, every revision gated, every stop counted.

Unlike the paper, a revision that is not better than what it revises is dropped: small models make many of those.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

from charter.core.progress import SILENT, Reporter
from charter.core.rows import Answer, Example, Reply, Row, Sampling
from charter.core.seeds import stream
from charter.core.shapes import Model
from charter.core.trust import MAX_FAILED
from charter.data.dedupe import NearDuplicates
from charter.generate.asking import errors_in, require, to_ask_again
from charter.generate.feedback import Turn, WriterFeedback, critique_prompt, revision_prompt
from charter.generate.gates import Judges, why_not
from charter.policy.charter import Charter
from charter.store.answers import ask
from charter.store.runs import RunFolder


class Revision(Row):
    """One round for one goal: the critique, the revision, and the gate's word ('' = accepted)."""

    goal: str
    round: int
    principle: str
    by: str
    before: str
    critique: str
    revision: str
    stopped_by: str


class Revised(NamedTuple):
    """The best reply per goal key (only goals with an accepted revision), the gates that stopped a goal's revisions, round by round, and the goals
    that a critique or revision failed for: the model gave an error."""

    replies: dict[str, Revision]
    stops: dict[str, tuple[str, ...]]
    failed: frozenset[str] = frozenset()

    @property
    def stopped(self) -> dict[str, int]:
        """How many revisions each gate stopped."""
        return dict(Counter(gate for gates in self.stops.values() for gate in gates))

    @property
    def stopped_and_kept(self) -> dict[str, int]:
        """``stopped`` for the goals of which a later revision was accepted."""
        return dict(Counter(gate for key, gates in self.stops.items() if key in self.replies for gate in gates))


def critique_and_revise(
    goals: Sequence[Example],
    initial: dict[str, str],
    charter: Charter,
    feedback: WriterFeedback | Model,
    judges: Judges,
    folder: RunFolder,
    *,
    rounds: int,
    seed: int,
    max_tokens: int = 64,
    name: str = "",
    reporter: Reporter = SILENT,
    max_failed: float = MAX_FAILED,
) -> Revised:
    """Run ``rounds`` rounds. A goal with an accepted revision asks nothing more. ``initial``: the model's own reply by goal key.

    Raises ModelError where in one round more than a share ``max_failed`` (0..1) of all goals had a critique or revision that came back as an error:
    no row of that round is written, and the next call asks for those again.
    """
    by = name or (feedback.name if isinstance(feedback, WriterFeedback) else feedback.spec)
    log = folder.log(f"revisions-{name}" if name else "revisions", Revision)
    standing = {goal.key: initial.get(goal.key, "") for goal in goals}
    seen = NearDuplicates()
    best: dict[str, Revision] = {}
    stops: dict[str, tuple[str, ...]] = {}
    failed: set[str] = set()
    asking = _Asking(feedback, folder, len(goals), seed, max_tokens, name, reporter, max_failed)
    for number in range(rounds):
        turns = [_turn(goal, standing[goal.key], charter, number, seed) for goal in goals if goal.key not in best]
        critiques, revisions = asking.both(turns)
        failed |= {key for replies in (critiques, revisions) for key, reply in replies.items() if reply.finish == "error"}
        stored = dict(log.items())
        fresh = []
        for turn in turns:
            row = stored.get(f"{turn.key}#{number}") or _judged(turn, critiques[turn.key], revisions.get(turn.key), by, charter, judges, seen)
            fresh.append((f"{turn.key}#{number}", row))
            if row.stopped_by:
                stops[turn.key] = (*stops.get(turn.key, ()), row.stopped_by)
            else:
                best[turn.key] = row
                seen.add(row.revision)
        log.append(fresh)
    return Revised(best, stops, frozenset(failed))


def _turn(goal: Example, reply: str, charter: Charter, number: int, seed: int) -> Turn:
    known = any(h.id == goal.hazard for h in charter.hazards)
    choices = charter.principles_for(goal.hazard) if known else charter.principles
    return Turn(goal.key, goal, reply, stream(seed, "principle", goal.key, number).choice(choices), number)


def _judged(turn: Turn, critique: Reply, revision: Reply | None, by: str, charter: Charter, judges: Judges, seen: NearDuplicates) -> Revision:
    """``revision`` None: there was no critique to revise by."""
    stopped, style = "no critique", charter.refusal
    if revision is not None:
        stopped = why_not(turn.example.conversation, turn.reply, revision, judges, seen, style.avoid, style.max_words)
    return Revision(
        goal=turn.key,
        round=turn.round,
        principle=turn.principle.id,
        by=by,
        before=turn.reply,
        critique=critique.text,
        revision=revision.text if revision is not None else "",
        stopped_by=stopped,
    )


class _Asking(NamedTuple):
    """How critiques and revisions are asked for; ``goals`` of them in all, whose share ``max_failed`` may fail in a round."""

    feedback: WriterFeedback | Model
    folder: RunFolder
    goals: int
    seed: int
    max_tokens: int
    name: str
    reporter: Reporter
    max_failed: float

    def both(self, turns: list[Turn]) -> tuple[dict[str, Reply], dict[str, Reply]]:
        """Critiques, and revisions of those that have one. The share is of all goals, not of ``turns``: in the last round there may be one left,
        and that it fails again and again shall not end the run."""
        feedback = self.feedback
        if isinstance(feedback, WriterFeedback):
            critiques = {turn.key: feedback.critique(turn) for turn in turns}
            return critiques, {turn.key: feedback.revise(turn, critiques[turn.key].text) for turn in turns}
        tag = f"{self.name or 'feedback'}-round{turns[0].round if turns else 0}"
        logs = [self.folder.log(f"{tag}-{what}", Answer) for what in ("critiques", "revisions")]
        again = to_ask_again({key: answer for log in logs for key, answer in log.items()}, self.goals, self.max_failed)
        sampling = Sampling(max_tokens=self.max_tokens, temperature=0.7, top_p=0.95, seed=self.seed)
        first = ask(feedback, [(t.key, critique_prompt(t)) for t in turns], sampling, logs[0], self.reporter, "critiques", again)
        failed = errors_in(first)
        require(failed, self.goals, self.max_failed, "critiques")
        critiques = {key: answer.reply for key, answer in first.items()}
        items = [(t.key, revision_prompt(t, critiques[t.key].text)) for t in turns if _says_something(critiques[t.key])]
        second = ask(feedback, items, sampling, logs[1], self.reporter, "revisions", again)
        require({**failed, **errors_in(second)}, self.goals, self.max_failed, "critiques and revisions")
        return critiques, {key: answer.reply for key, answer in second.items()}


def _says_something(critique: Reply) -> bool:
    return critique.finish != "error" and bool(critique.text.strip())
