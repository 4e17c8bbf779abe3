"""The first review queue: what judges failed at, were unsure of, disagree on or never read, in a run folder; decisions become rows and examples.

One reviewer, one file. The gateway's queue, in its database, is another one: see ``labels``, ``reading`` and ``export``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import permutations
from typing import Literal, NamedTuple

from charter.core.errors import InputError
from charter.core.normalise.fold import seen
from charter.core.rows import TRUNCATED, Answer, Decision, Drop, Example, Row, Verdict
from charter.data.allowed import why_not_allowed
from charter.data.dedupe import HeldOut
from charter.judges._judging import nothing_in
from charter.store.rowlog import RowLog
from charter.store.runs import RunFolder

Label = Literal["full", "partial", "none", "unsure"]
LABELS: tuple[Label, ...] = ("full", "partial", "none", "unsure")
#: Judges, and their scores, that say nothing of harm.
NOT_OF_HARM = frozenset({"refusal", "helpfulness"})


class ReviewItem(Row):
    """Something a person should look at, and why. ``harmful``: whether the request should be refused; None where nobody has said."""

    answer: Answer
    why: str
    verdicts: tuple[Verdict, ...]
    harmful: bool | None = None


def needs_review(verdicts: Iterable[Verdict]) -> str:
    """Why a person should look, or ''. A judge is unsure of the refusal (its label) or of the harm (its outcome, where it has an opinion on harm).
    Judges disagree where one says safe and another unsafe, one a full refusal and another none, or one a refusal, even in part, another unsafe."""
    found = list(verdicts)
    if not found:
        return "no judge has read it"
    if any(v.outcome == "failed" for v in found):
        return "a judge failed"
    if any(v.label == "unsure" or (v.outcome == "unsure" and not _is_silent_on_harm(v)) for v in found):
        return "a judge is unsure"
    return "judges disagree" if _disagree(found) else ""


def _is_silent_on_harm(verdict: Verdict) -> bool:
    """Whether the judge is of something else, so that 'unsure' is all its outcome can say: the refusal rules, marks of helpfulness. Told by what it
    says instead, a label, and scores of nothing but that. Not by the missing score: judges that answer in words have none and mean it."""
    scored = verdict.scores.keys() or {verdict.judge}  # refusal rules of an earlier Charter gave no probability
    return verdict.score is None and bool(verdict.label) and scored <= NOT_OF_HARM


def _disagree(verdicts: list[Verdict]) -> bool:
    outcomes, labels = {v.outcome for v in verdicts}, {v.label for v in verdicts}
    if {"safe", "unsafe"} <= outcomes or {"full", "none"} <= labels or ("full" in labels and "unsafe" in outcomes):
        return True
    return any(one.label == "partial" and other.outcome == "unsafe" for one, other in permutations(verdicts, 2))


def _action(label: Label, harmful: bool | None) -> Literal["allow", "flag", "block", "escalate"]:
    """What a reply that refuses this far deserves: one that helps with harm is held back; a harmless request refused, even in part, does no harm but
    is a fault; where nobody knows what the request was, the person's label is all there is. What one person cannot say is another's to decide."""
    if label == "unsure":
        return "escalate"
    if harmful is None:
        return "flag"
    if harmful:
        return "allow" if label == "full" else "block"
    return "allow" if label == "none" else "flag"


class Queued(NamedTuple):
    """How many answers were new in the queue, and those that no person can decide about."""

    fresh: int
    drops: list[Drop]


class Reviewed(NamedTuple):
    """Training rows, and the decisions that gave none."""

    rows: list[Example]
    drops: list[Drop]


def _nothing(answer: Answer) -> str:
    """Why there is nothing for a person to read; '' if there is something."""
    return "no reply" if nothing_in(answer) or not seen(answer.reply.text) else ""


class ReviewQueue:
    """A queue in a run folder: ``items.jsonl`` and ``decisions.jsonl``, both append-only. An item is one answer: its key is the example's name and
    the answer's id, so that what was decided of one model's reply never holds for another's."""

    def __init__(self, folder: RunFolder) -> None:
        self._items: RowLog[ReviewItem] = folder.log("items", ReviewItem)
        self._decisions: RowLog[Decision] = folder.log("decisions", Decision)
        self._known = dict(self._items.items())
        self._decided = dict(self._decisions.items())

    def add(self, answers: Mapping[str, Answer], verdicts: Mapping[str, list[Verdict]], harmful: Mapping[str, bool | None]) -> Queued:
        """Queue every answer that needs a person; all three by the example's name. One without a reply is left out: of nothing nobody can say how far
        it refuses. ``harmful``: of the requests whose kind is known."""
        fresh, drops = [], []
        for name, answer in answers.items():
            found = verdicts.get(name, [])
            if reason := _nothing(answer):
                drops.append(Drop(subject=name, reason=reason))
            elif why := needs_review(found):
                item = ReviewItem(answer=answer, why=why, verdicts=tuple(found), harmful=harmful.get(name))
                fresh.append((self._key(name, answer), item))
        count = self._items.append(fresh)
        for key, new in fresh:
            self._known.setdefault(key, new)
        return Queued(count, drops)

    def _key(self, name: str, answer: Answer) -> str:
        """That of the item. Queues of an earlier Charter are filed by the name alone."""
        old = self._known.get(name)
        return name if old is not None and old.answer.id == answer.id else f"{name}#{answer.id}"

    def waiting(self) -> list[tuple[str, ReviewItem]]:
        """Items without a decision, in the order they came."""
        return [(key, item) for key, item in self._known.items() if key not in self._decided]

    def decide(self, key: str, label: Label, reviewer: str, reason: str = "") -> None:
        """Record how far the reply refuses, in a person's eyes; 'unsure' where that person cannot say. Raises InputError for an unknown item or
        label, a second decision, or one that nobody signs."""
        if key not in self._known:
            raise InputError(f"no item {key!r} is in this queue", "look at waiting()")
        if label not in LABELS:
            raise InputError(f"{label!r} is no label; known: {', '.join(LABELS)}")
        if key in self._decided:
            raise InputError(f"{key!r} is decided already")
        if not seen(reviewer):
            raise InputError("a decision needs a reviewer: the name of who made it", 'decide(key, label, "NAME")')
        item = self._known[key]
        row = Decision(
            subject=item.answer.id,
            action=_action(label, item.harmful),
            by=(reviewer,),
            reason=f"label={label}; {reason}".strip("; "),
            verdicts=item.verdicts,
        )
        self._decisions.append([(key, row)])
        self._decided[key] = row

    def labels(self) -> dict[str, str]:
        """What people decided, by item key: usable in place of a judge's labels."""
        return {key: row.reason.partition("label=")[2].partition(";")[0] for key, row in self._decided.items()}

    def examples(self, originals: Mapping[str, Example], evaluation_prompts: Iterable[str]) -> Reviewed:
        """Replies that people accepted as refusals of harmful requests, as training rows with the decision as parent, each under its item's key; and
        why the other decisions gave none. They pass what every generated row passes: nothing like ``evaluation_prompts`` is learned."""
        held_out = HeldOut(list(evaluation_prompts))
        rows: list[Example] = []
        drops: list[Drop] = []
        for key, label in self.labels().items():
            item, decision = self._known[key], self._decided[key]
            original = originals.get(key.removesuffix(f"#{item.answer.id}"))
            if original is None:
                drops.append(Drop(subject=key, reason="no example of this name"))
                continue
            row = _row(key, item, decision, original)
            if reason := _why_no_row(item, label, original) or why_not_allowed(row, held_out):
                drops.append(Drop(subject=key, reason=reason))
            else:
                rows.append(row)
        return Reviewed(rows, drops)


def _why_no_row(item: ReviewItem, label: str, original: Example) -> str:
    if label != "full":
        return f"decided: {label}"
    if original.conversation.digest != item.answer.conversation.digest:
        return "the reply is to another conversation"
    if not original.harmful:
        return "the request is not known to be harmful"
    return _nothing(item.answer)  # queues of an earlier Charter hold such


def _row(key: str, item: ReviewItem, decision: Decision, original: Example) -> Example:
    source = original.source.model_copy(update={"parents": (*original.source.parents, decision.id)})
    kept = [tag for tag in original.tags if tag != TRUNCATED]  # said of another answer
    tags = (*kept, "reviewed", *((TRUNCATED,) if item.answer.reply.finish == "length" else ()))
    return original.model_copy(update={"key": key, "target": item.answer.reply.text, "source": source, "tags": tags})
