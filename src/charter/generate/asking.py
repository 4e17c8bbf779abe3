"""When a model that was to make rows gave errors instead: those are asked again, and nothing is made of a stage in which there are too many."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from charter.core.errors import ModelError
from charter.core.progress import SILENT, Reporter
from charter.core.rows import Answer, Conversation, Sampling
from charter.core.shapes import Model
from charter.core.trust import MAX_FAILED, too_many
from charter.store.answers import ask
from charter.store.rowlog import RowLog


def ask_enough(
    model: Model,
    items: Sequence[tuple[str, Conversation]],
    sampling: Sampling,
    log: RowLog[Answer],
    reporter: Reporter = SILENT,
    what: str = "replies",
    max_failed: float = MAX_FAILED,
) -> dict[str, Answer]:
    """``ask``; raises ModelError where more than a share ``max_failed`` (0..1) of ``items`` came back as errors. Those are asked again the next time,
    and what was answered is kept."""
    again = to_ask_again(dict(log.items()), len(items), max_failed)
    answers = ask(model, items, sampling, log, reporter, what, again)
    require(errors_in(answers), len(items), max_failed, what)
    return answers


def errors_in(answers: Mapping[str, Answer]) -> dict[str, str]:
    """Why, by key, for each answer that is an error. An empty answer is none: the model had its say."""
    return {key: answer.reply.error or "the model gave an error" for key, answer in answers.items() if answer.reply.finish == "error"}


def to_ask_again(stored: Mapping[str, Answer], total: int, max_failed: float) -> frozenset[str]:
    """Keys of the stored errors where they are too many of ``total``. Where they are few they stay, so that a killed run ends as an unbroken one."""
    failed = errors_in(stored)
    return frozenset(failed) if too_many(list(failed.values()), total, max_failed) else frozenset()


def require(failed: Mapping[str, str], total: int, max_failed: float, what: str) -> None:
    """Raise ModelError where the reasons ``failed`` are too many for ``total``."""
    if reasons := too_many(list(failed.values()), total, max_failed):
        raise ModelError(
            f"too many {what} failed, and no rows are made of the others: {'; '.join(reasons)}",
            "run the same charter command again: what was answered is kept, and those are asked again; or go on without them: generate.max_failed=1",
        )
