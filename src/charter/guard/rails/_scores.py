"""Where the rails that need a model get their scores: one place. ``scores(head, conversations)`` gives a Verdict with the head's score for each.

With the shipped classifier on the judges' shelf every head is its; without it the harm judges, and rules of our own for jailbreak, injection and
toxicity. Rails that look at the same text share one reading of it: whoever comes first reads, the others wait.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Future
from functools import cache
from pathlib import Path
from typing import Any, Literal, Protocol
from weakref import WeakValueDictionary

from charter.core import registry, stopping
from charter.core.rows import Conversation, Verdict
from charter.guard._shared import alike, first, in_a_check, meanwhile
from charter.guard.rails import _rules
from charter.guard.rails._disguise import forms
from charter.judges import harm, refusal, request
from charter.judges._loaded import own_versions

Head = Literal["harmful_request", "harmful_reply", "jailbreak", "injection", "toxicity", "refusal"]
Read = Callable[[Sequence[Conversation]], list[Verdict]]
#: Readings kept, by content; verdicts only, no text.
KEPT = 1024
#: The judge on the shelf that knows every head.
CLASSIFIER = "classifier"
#: ``SHARES`` of the rails that wait for one reading of the same text anyway (see ``Built.shares``).
SHARED = "scores"


class Scores(Protocol):
    """Gives, for each conversation, a Verdict whose ``score`` is the head's, or a failed one. Reads the last user message, or the final reply.

    ``shares``: what rails with these scores wait for together. ``weights``: the versions of the weights behind them that are not the shipped ones.
    """

    version: str
    shares: str
    weights: tuple[str, ...]

    def __call__(self, head: Head, conversations: Sequence[Conversation]) -> list[Verdict]: ...


@cache
def shipped() -> Scores:
    """The scores of this installation, built once in a process. Raises MissingPartError or InputError where the classifier cannot be loaded: a guard
    does not quietly fall back to rules."""
    return ClassifierScores() if CLASSIFIER in registry.names("judges") else RuleScores()


def warm() -> None:
    """Read now what the first texts would wait for, where rails of this process have their scores from the classifier: for servers. Judges that rails
    build for themselves are not among them."""
    with _lock:
        found = [*_OWN.values(), *([shipped()] if shipped.cache_info().currsize else [])]
    for scores in found:
        if isinstance(scores, ClassifierScores):
            scores.warm()


#: Scores of own weights by their encoder's number, as long as a rail uses them: it lives as long as they do.
_OWN: WeakValueDictionary[int, ClassifierScores] = WeakValueDictionary()
_lock = threading.Lock()


def scores_of(weights: Path | None, rail: str, head: Head) -> Scores:
    """The shipped scores, or those of own weights: the same for all rails of a process that use them. Raises InputError where the weights cannot be
    loaded, or no row taught them the ``head`` that the rail asks: it would answer by chance."""
    if weights is None:
        return shipped()
    module = registry.find("judges", CLASSIFIER)
    judge = module.build(module.Config(weights=weights, content_of_replies=False), by_any=True)
    judge.need(f"the rail {rail}", head)
    with _lock:
        scores = _OWN.get(id(judge.scorer.encoder))
        if scores is None:
            scores = _OWN[id(judge.scorer.encoder)] = ClassifierScores(judge)
    return scores


class ClassifierScores:
    """Every head from one reading of the classifier."""

    def __init__(self, judge: Any = None) -> None:
        if judge is None:
            module = registry.find("judges", CLASSIFIER)
            judge = module.build(module.Config(content_of_replies=False))  # rails ask for the content of a reply as of a text
        self.version = f"{judge.name}.{judge.version}"
        self.weights = own_versions(judge)
        self.shares = " ".join((SHARED, *self.weights))
        self._read = _Once(lambda conversations: _batch(judge, conversations))
        self._ahead: Callable[[Conversation], None] | None = getattr(judge, "ahead", None)
        self.warm: Callable[[], None] = getattr(judge, "warm", lambda: None)

    def __call__(self, head: Head, conversations: Sequence[Conversation]) -> list[Verdict]:
        return [_of_head(verdict, head) for verdict in self._read(conversations)]

    def begin(self, conversations: Sequence[Conversation]) -> None:
        """Read what nobody reads yet; what somebody else reads at this moment is not waited for, but something of its work is done for it."""
        futures = self._read.begin(conversations)
        self.ahead([conversation for conversation in conversations if not futures[conversation.digest].done()])

    def unread(self, conversations: Sequence[Conversation]) -> list[Conversation]:
        """Those whose reading nobody has begun, or it is forgotten: of the others there is nothing to do ahead."""
        return self._read.unknown(conversations)

    def ahead(self, conversations: Sequence[Conversation]) -> None:
        """Do what needs no encoder of a reading that another thread has begun, or is about to."""
        if self._ahead is not None:
            for conversation in conversations:
                if first(("ahead", self.shares, conversation.digest)):  # whoever comes next has something else to do
                    self._ahead(conversation)


def asked(text: str, operator: str = "") -> Conversation:
    """A text as a request of its own; the same for all rails of a check, so that its digest is worked out once."""
    return alike(("asked", text, operator), lambda: Conversation.ask(text, operator))


def replied(text: str, reply: str) -> Conversation:
    """The same of a text and a reply to it."""
    return alike(("replied", text, reply), lambda: asked(text).with_reply(reply))


def begin(scores: Scores, texts: Iterable[str]) -> None:
    """In a check: have the texts read as they stand before their other forms are looked for, which a thread that is lent does meanwhile. Rails that
    come later find both done."""
    if in_a_check():
        _begin(scores, {text: asked(text) for text in texts})


def begin_reply(scores: Scores, pair: Conversation) -> None:
    """The same of a reply."""
    if in_a_check():
        _begin(scores, {pair.reply or "": pair})


def _begin(scores: Scores, wanted: Mapping[str, Conversation]) -> None:
    worded = {text: conversation for text, conversation in wanted.items() if any(letter.isalnum() for letter in text)}
    if not worded or not isinstance(scores, ClassifierScores):
        return

    unread = scores.unread(list(worded.values()))

    def rest() -> None:
        scores.ahead(unread)
        for text in worded:
            stopping.check()
            forms(text)

    if unread and first(("begun", scores.shares, *(conversation.digest for conversation in worded.values()))):
        meanwhile(rest)
    scores.begin(list(worded.values()))


class RuleScores:
    """The harm judges and our own rules."""

    def __init__(self) -> None:
        self.shares = SHARED
        self.weights: tuple[str, ...] = ()
        judges: dict[Head, Any] = {
            "harmful_request": request.build(request.Config()),
            "harmful_reply": harm.build(harm.Config()),
            "refusal": refusal.build(refusal.Config()),
        }
        rules: dict[Head, Any] = {head: _rules.Rules(head) for head in _rules.heads()}  # type: ignore[misc]
        self._heads: dict[Head, _Once] = {head: _Once(_reader(judge)) for head, judge in {**judges, **rules}.items()}
        self.version = "+".join(f"{head}:{judge.version}" for head, judge in sorted({**judges, **rules}.items()))

    def __call__(self, head: Head, conversations: Sequence[Conversation]) -> list[Verdict]:
        found = self._heads[head](conversations)
        return [_as_refusal(verdict) for verdict in found] if head == "refusal" else found


class _Once:
    """Reads each conversation once, also when several threads ask at the same time. A reading that failed is not kept."""

    def __init__(self, read: Read) -> None:
        self._read = read
        self._lock = threading.Lock()
        self._kept: OrderedDict[str, Future[Verdict]] = OrderedDict()

    def __call__(self, conversations: Sequence[Conversation]) -> list[Verdict]:
        keys = [conversation.digest for conversation in conversations]
        while True:
            futures = self.begin(conversations, keys)
            try:
                return [futures[key].result() for key in keys]
            except stopping.StoppedError:  # the check that read it is over, and this one waits: it reads itself
                stopping.check()

    def unknown(self, conversations: Sequence[Conversation]) -> list[Conversation]:
        with self._lock:
            return [conversation for conversation in conversations if conversation.digest not in self._kept]

    def begin(self, conversations: Sequence[Conversation], keys: Sequence[str] = ()) -> dict[str, Future[Verdict]]:
        """Readings by key; those that nobody else had begun are done. ``keys``: the conversations' digests, where they are known."""
        keys = keys or [conversation.digest for conversation in conversations]
        mine: dict[str, Conversation] = {}
        futures: dict[str, Future[Verdict]] = {}
        with self._lock:
            for key, conversation in zip(keys, conversations, strict=True):
                if key not in self._kept and key not in futures:
                    mine[key] = conversation
                    self._kept[key] = Future()
                futures[key] = self._kept[key]
                self._kept.move_to_end(key)
            while len(self._kept) > KEPT:
                self._kept.popitem(last=False)
        if mine:
            self._fill(mine, futures)
        return futures

    def _fill(self, mine: dict[str, Conversation], futures: dict[str, Future[Verdict]]) -> None:
        try:
            found = self._read(list(mine.values()))
            if len(found) != len(mine):
                raise ValueError("a judge gave another number of verdicts than it was asked for")
        except BaseException as error:
            for key in mine:
                self._forget(key)
                futures[key].set_exception(error)
            raise
        for key, verdict in zip(mine, found, strict=True):
            if verdict.outcome == "failed":
                self._forget(key)
            futures[key].set_result(verdict)

    def _forget(self, key: str) -> None:
        with self._lock:
            self._kept.pop(key, None)


def _batch(judge: Any, conversations: Sequence[Conversation]) -> list[Verdict]:
    many = getattr(judge, "batch", None)
    if many is not None:
        return list(many(conversations))
    found = []
    for conversation in conversations:
        stopping.check()
        found.append(judge(conversation))
    return found


def _reader(judge: Any) -> Read:
    return lambda conversations: _batch(judge, conversations)


def _of_head(verdict: Verdict, head: Head) -> Verdict:
    score = verdict.scores.get(head)
    if verdict.outcome == "failed":
        return verdict
    if score is None:
        return verdict.model_copy(update={"outcome": "failed", "score": None, "reason": f"the classifier has no score for {head}"})
    hazards = verdict.hazards if head in ("harmful_request", "harmful_reply") else ()
    return verdict.model_copy(update={"score": score, "outcome": "unsafe" if score >= 0.5 else "safe", "hazards": hazards, "spans": ()})


def _as_refusal(verdict: Verdict) -> Verdict:
    """The refusal judge scores nothing; as a head, a full refusal is 1, a partial one 0.5."""
    if verdict.outcome == "failed":
        return verdict
    score = {"full": 1.0, "partial": 0.5, "unsure": 0.5}.get(verdict.label, 0.0)
    return verdict.model_copy(update={"score": score, "outcome": "safe"})
