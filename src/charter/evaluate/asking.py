"""Put the questions of a benchmark to a model and keep every answer: nothing is asked twice, and a killed run goes on where it stopped.

Answers go to the disk batch by batch, those of servers one by one, and are not held in memory. Batches are cut by the model over all questions of a
draw before anything is looked up, so that a resumed run asks in the same groups.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Sequence
from typing import Protocol, runtime_checkable

from charter.core.errors import ModelError
from charter.core.progress import SILENT, Reporter
from charter.core.rows import Answer, Conversation, Example, Reply, Sampling
from charter.core.shapes import Model
from charter.evaluate.plan import Question
from charter.store.rowlog import RowLog

#: Items weighed between two writes.
CHUNK = 32


@runtime_checkable
class Given(Protocol):
    """Replies that were made elsewhere: they are looked up by item instead of asked for."""

    @property
    def spec(self) -> str: ...

    def answer(self, questions: Sequence[Question]) -> list[Reply]: ...


@runtime_checkable
class OneByOne(Protocol):
    """A model whose replies come one by one, and are kept so."""

    def reply_each(self, conversations: Sequence[Conversation], sampling: Sampling, keep: Callable[[int, Reply], None]) -> None: ...


def ask_draw(
    model: Model | Given,
    questions: Sequence[Question],
    sampling: Sampling,
    log: RowLog[Answer],
    again: Collection[str] = (),
    reporter: Reporter = SILENT,
    what: str = "replies",
) -> None:
    """One reply to every question, into ``log``. Keys in ``again`` are asked although they are there. Raises what the model raises when nothing
    can be asked at all; what was answered until then is kept."""
    waiting = {q.key for q in questions if q.key not in log or q.key in again}
    with reporter.track(what, len(questions), len(questions) - len(waiting)) as advance:
        for batch in _batches(model, questions, sampling) if waiting else []:
            group = [question for question in batch if question.key in waiting]
            if group:
                _ask_group(model, group, sampling, log, advance)


def _ask_group(model: Model | Given, group: Sequence[Question], sampling: Sampling, log: RowLog[Answer], advance: Callable[[int], None]) -> None:
    def keep(place: int, reply: Reply) -> None:
        _keep(model.spec, [group[place]], [reply], sampling, log)
        advance(1)

    conversations = [question.conversation for question in group]
    if isinstance(model, Given):
        _keep(model.spec, group, model.answer(group), sampling, log)
    elif isinstance(model, OneByOne):
        model.reply_each(conversations, sampling, keep)
        return
    else:
        _keep(model.spec, group, model.reply(conversations, sampling), sampling, log)
    advance(len(group))


def _batches(model: Model | Given, questions: Sequence[Question], sampling: Sampling) -> list[list[Question]]:
    if isinstance(model, Given):
        return [list(questions)]
    return [[questions[i] for i in batch] for batch in model.batches([q.conversation for q in questions], sampling)]


def weigh(
    model: Model,
    questions: Sequence[Question],
    options: Callable[[Example], tuple[str, ...]],
    log: RowLog[Answer],
    again: Collection[str] = (),
    reporter: Reporter = SILENT,
) -> None:
    """The log-probabilities of every item's options, into ``log``. The first failure before any success is raised: it is the model's, not the
    item's; a later one is that item's failed answer."""
    waiting = [q for q in questions if q.key not in log or q.key in again]
    worked = len(waiting) < len(questions)
    with reporter.track("choices", len(questions), len(questions) - len(waiting)) as advance:
        for start in range(0, len(waiting), CHUNK):
            group, replies = waiting[start : start + CHUNK], []
            for question in group:
                try:
                    replies.append(_weighed(model, question, options(question.example)))
                    worked = True
                except ModelError as error:
                    if not worked:
                        raise
                    replies.append(Reply(text="", finish="error", error=error.message))
            _keep(model.spec, group, replies, Sampling(), log)
            advance(len(group))


def _weighed(model: Model, question: Question, options: tuple[str, ...]) -> Reply:
    found = tuple(model.score(question.conversation, options))
    if any(math.isnan(value) for value in found) or max(found) == -math.inf:
        return Reply(text="", finish="error", error="none of the options has a likelihood")
    return Reply(text=options[found.index(max(found))], finish="stop", options=options, logprobs=found)


def _keep(spec: str, group: Sequence[Question], replies: Sequence[Reply], sampling: Sampling, log: RowLog[Answer]) -> None:
    pairs = zip(group, replies, strict=True)
    log.replace((q.key, Answer(model=spec, conversation=q.conversation, sampling=sampling, reply=reply)) for q, reply in pairs)
