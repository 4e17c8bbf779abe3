"""One way to have things judged: nothing is asked about nothing, every verdict is logged, and a killed run goes on where it stopped.

A judge may have a method ``batch(conversations) -> verdicts`` besides being callable; then it is asked in groups.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Protocol, TypeVar, cast

from charter.core.progress import SILENT, Reporter
from charter.core.rows import Answer, Conversation, Verdict
from charter.core.shapes import Judge
from charter.store.rowlog import RowLog

#: Verdicts asked for and written together; a kill costs at most so many.
GROUP = 64
T = TypeVar("T")
Batch = Callable[[Sequence[Conversation]], list[Verdict]]


class _Batching(Protocol):
    def batch(self, conversations: Sequence[Conversation]) -> list[Verdict]: ...


def name_of(judge: Judge) -> str:
    """``name@version``: what a verdict is filed under."""
    return f"{judge.name}@{judge.version}"


def key_of(judge: Judge, key: str) -> str:
    return f"{name_of(judge)}:{key}"


def failed(judge: Judge, conversation: Conversation, reason: str) -> Verdict:
    return Verdict(subject=conversation.id, outcome="failed", reason=reason, judge=judge.name, judge_version=judge.version)


def nothing_in(answer: Answer) -> str:
    """Why there is nothing to judge in a stored answer; '' if there is something."""
    if answer.reply.finish == "error":
        return f"no reply: {answer.reply.error or 'the model gave an error'}"
    return "" if answer.reply.text.strip() else "the reply is empty"


def judge_answer(judge: Judge, answer: Answer) -> Verdict:
    """The verdict on a stored answer; without a reply, a failed verdict that says why. The judge is not asked about nothing."""
    return judge_answers(judge, [answer])[0]


def judge_answers(judge: Judge, answers: Sequence[Answer]) -> list[Verdict]:
    """``judge_answer`` for many, in order, in one group where the judge takes groups."""
    conversations = [answer.conversation.with_reply(answer.reply.text) for answer in answers]
    return judge_conversations(judge, conversations, [nothing_in(answer) for answer in answers])


def judge_conversations(judge: Judge, conversations: Sequence[Conversation], nothing: Sequence[str] | None = None) -> list[Verdict]:
    """Verdicts in order. ``nothing`` has a reason for each conversation that the judge must not be asked about, '' for the rest."""
    reasons = nothing or [""] * len(conversations)
    asked = [i for i, reason in enumerate(reasons) if not reason]
    verdicts = dict(zip(asked, _ask(judge, [conversations[i] for i in asked]), strict=True))
    return [verdicts.get(i) or failed(judge, conversation, reasons[i]) for i, conversation in enumerate(conversations)]


def _ask(judge: Judge, conversations: list[Conversation]) -> list[Verdict]:
    if hasattr(judge, "batch"):
        return list(cast(_Batching, judge).batch(conversations)) if conversations else []
    return [judge(conversation) for conversation in conversations]


def judge_log(judge: Judge, answers: Mapping[str, Answer], log: RowLog[Verdict], reporter: Reporter = SILENT, again: Collection[str] = ()) -> None:
    """Have every stored answer judged whose verdict is not in ``log`` yet. Groups are cut before anything is looked up, so a resumed run asks in the
    same groups as an unbroken one. Answers whose keys are in ``again`` are judged although they were."""
    for group in cut([key for key in answers if key in again and key_of(judge, key) in log]):
        verdicts = judge_answers(judge, [answers[key] for key in group])
        log.replace((key_of(judge, key), verdict) for key, verdict in zip(group, verdicts, strict=True))
    keys = list(answers)
    waiting = [group for group in cut(keys) if any(key_of(judge, key) not in log for key in group)]
    with reporter.track(f"verdicts: {judge.name}", len(keys), len(keys) - sum(map(len, waiting))) as advance:
        for group in waiting:
            verdicts = judge_answers(judge, [answers[key] for key in group])
            log.append((key_of(judge, key), verdict) for key, verdict in zip(group, verdicts, strict=True))
            advance(len(group))


def cut(rows: Sequence[T]) -> list[Sequence[T]]:
    """In groups that are asked and written together."""
    return [rows[start : start + GROUP] for start in range(0, len(rows), GROUP)]


def stored_verdicts(judge: Judge, log: RowLog[Verdict]) -> dict[str, Verdict]:
    """This judge's verdicts in a log of ``judge_rows``, by the id of the conversation. Logs of an earlier Charter are filed by row instead: their
    verdicts hold too, for what they are on is their ``subject``."""
    mine, found = key_of(judge, ""), dict[str, Verdict]()
    for key, verdict in log.iterate():
        # what a version goes on with may begin like a key, and long names of judges share a file
        if key.startswith(mine) and (verdict.judge, verdict.judge_version) == (judge.name, judge.version):
            found.setdefault(verdict.subject, verdict)
            found[key.removeprefix(mine)] = verdict
    return found


def judge_rows(
    judge: Judge, rows: Sequence[tuple[str, Conversation]], log: RowLog[Verdict], reporter: Reporter = SILENT, retry_failed: bool = False
) -> dict[str, Verdict]:
    """Verdicts by key for every (key, conversation), from the log where they are there: they are filed by what was judged, so that rows which
    move, or files which change under one name, never get the verdicts of others. Groups are cut before anything is looked up, so a resumed run asks
    in the same groups as an unbroken one. With ``retry_failed`` the judge is asked again about what its verdict failed on, and about that alone.
    Raises what the judge raises when nothing can be asked at all."""
    stored = stored_verdicts(judge, log)
    if retry_failed:
        stored |= _retry(judge, [conversation for _, conversation in rows if _has_failed(stored.get(conversation.id))], log, reporter)
    waiting = [group for group in cut(rows) if any(conversation.id not in stored for _, conversation in group)]
    with reporter.track(f"verdicts: {judge.name}", len(rows), len(rows) - sum(map(len, waiting))) as advance:
        for group in waiting:
            verdicts = judge_conversations(judge, [conversation for _, conversation in group])
            log.append((key_of(judge, conversation.id), verdict) for (_, conversation), verdict in zip(group, verdicts, strict=True))
            advance(len(group))
    stored = stored_verdicts(judge, log) if waiting else stored
    return {key: stored[conversation.id] for key, conversation in rows}


def _has_failed(verdict: Verdict | None) -> bool:
    return verdict is not None and verdict.outcome == "failed"


def _retry(judge: Judge, conversations: Sequence[Conversation], log: RowLog[Verdict], reporter: Reporter) -> dict[str, Verdict]:
    """New verdicts by the id of the conversation, written as they come: the later one holds."""
    made = dict[str, Verdict]()
    with reporter.track(f"verdicts that failed: {judge.name}", len(conversations), 0) as advance:
        for group in cut(conversations):
            found = dict(zip([c.id for c in group], judge_conversations(judge, group), strict=True))
            log.replace((key_of(judge, id), verdict) for id, verdict in found.items())
            made |= found
            advance(len(group))
    return made
