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
from charter.data.dedupe import NearDuplicates
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
    """The best reply per goal key (only goals with an accepted revision), and how many revisions each gate stopped."""

    replies: dict[str, Revision]
    stopped: dict[str, int]


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
) -> Revised:
    """Run ``rounds`` rounds. A goal with an accepted revision asks nothing more. ``initial``: the model's own reply by goal key."""
    by = name or (feedback.name if isinstance(feedback, WriterFeedback) else feedback.spec)
    log = folder.log(f"revisions-{name}" if name else "revisions", Revision)
    standing = {goal.key: initial.get(goal.key, "") for goal in goals}
    seen = NearDuplicates()
    best: dict[str, Revision] = {}
    for number in range(rounds):
        turns = [_turn(goal, standing[goal.key], charter, number, seed) for goal in goals if goal.key not in best]
        critiques, revisions = _ask_both(turns, feedback, folder, seed, max_tokens, name, reporter)
        stored = dict(log.items())
        fresh = []
        for turn in turns:
            row = stored.get(f"{turn.key}#{number}") or _judged(turn, critiques[turn.key], revisions.get(turn.key), by, charter, judges, seen)
            fresh.append((f"{turn.key}#{number}", row))
            if not row.stopped_by:
                best[turn.key] = row
                seen.add(row.revision)
        log.append(fresh)
    stopped = Counter(row.stopped_by for row in log.rows() if row.stopped_by)
    return Revised(best, dict(stopped))


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


def _ask_both(
    turns: list[Turn], feedback: WriterFeedback | Model, folder: RunFolder, seed: int, max_tokens: int, name: str, reporter: Reporter
) -> tuple[dict[str, Reply], dict[str, Reply]]:
    if isinstance(feedback, WriterFeedback):
        critiques = {turn.key: feedback.critique(turn) for turn in turns}
        return critiques, {turn.key: feedback.revise(turn, critiques[turn.key].text) for turn in turns}
    tag = f"{name or 'feedback'}-round{turns[0].round if turns else 0}"
    sampling = Sampling(max_tokens=max_tokens, temperature=0.7, top_p=0.95, seed=seed)
    first = ask(feedback, [(t.key, critique_prompt(t)) for t in turns], sampling, folder.log(f"{tag}-critiques", Answer), reporter, "critiques")
    critiques = {key: answer.reply for key, answer in first.items()}
    items = [(t.key, revision_prompt(t, critiques[t.key].text)) for t in turns if _says_something(critiques[t.key])]
    second = ask(feedback, items, sampling, folder.log(f"{tag}-revisions", Answer), reporter, "revisions")
    return critiques, {key: answer.reply for key, answer in second.items()}


def _says_something(critique: Reply) -> bool:
    return critique.finish != "error" and bool(critique.text.strip())
