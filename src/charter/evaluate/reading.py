"""Have a benchmark read stored answers. Judges that take groups are asked in groups; what no judge could say is a failed verdict, never a score."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, Protocol, runtime_checkable

from charter.core.errors import ModelError
from charter.core.rows import Answer, Conversation, Example, Reply, Verdict
from charter.core.shapes import Judge
from charter.evaluate.benchmark import Benchmark, subject_of
from charter.judges._judging import judge_conversations, nothing_in

#: So many judgements in a row that raise, from the first on, are no accident of an item.
HOPELESS = 20


class Item(NamedTuple):
    """One stored answer and the example that it answers."""

    key: str
    example: Example
    answer: Answer


@runtime_checkable
class KnowsItems(Protocol):
    """A judge that goes by the item and what was said to it, not by the conversation: people's labels."""

    def about(self, example: Example, said: Reply) -> Judge: ...


class _Waiting(BaseException):
    """A judgement is needed before the benchmark can go on. Not an Exception, so that no benchmark swallows it."""


class _Grouped:
    """Stands for a judge that takes groups: it notes what it is asked, and answers once the group was asked."""

    def __init__(self, judge: Judge) -> None:
        self.name, self.version = judge.name, judge.version
        self._judge = judge
        self._wanted: dict[str, Conversation] = {}
        self._known: dict[str, Verdict] = {}

    def __call__(self, conversation: Conversation) -> Verdict:
        subject = conversation.id
        if subject in self._known:
            return self._known[subject]
        self._wanted[subject] = conversation
        raise _Waiting

    def __getattr__(self, name: str) -> Any:
        return getattr(self._judge, name)

    def ask(self) -> None:
        """Put everything that was noted to the judge, as one group."""
        wanted, self._wanted = self._wanted, {}
        self._known.update(zip(wanted, judge_conversations(self._judge, list(wanted.values())), strict=True))


class Reader:
    """Reads answers for one benchmark with these judges, a group at a time."""

    def __init__(self, name: str, version: str, benchmark: Benchmark, judges: Mapping[str, Judge]) -> None:
        self._name, self._benchmark, self._judges = name, benchmark, judges
        everyone = list({(judge.name, judge.version): None for judge in judges.values()}) or [(name, version)]
        self._by, self._version = ("+".join(words) for words in zip(*everyone, strict=True))
        self._raised = 0
        self._worked = False

    def __call__(self, items: Sequence[Item]) -> list[Verdict]:
        """One verdict per item. Raises ModelError when a judge cannot be had at all."""
        judges = {role: _Grouped(judge) if hasattr(judge, "batch") else judge for role, judge in self._judges.items()}
        found: dict[str, Verdict] = {}
        waiting = list(items)
        while waiting:
            for item in waiting:
                try:
                    found[item.key] = self._one(item, judges)
                except _Waiting:
                    continue
            waiting = [item for item in waiting if item.key not in found]
            for judge in judges.values() if waiting else ():
                if isinstance(judge, _Grouped):
                    judge.ask()
        return [found[item.key] for item in items]

    def _one(self, item: Item, judges: Mapping[str, Judge]) -> Verdict:
        nothing = nothing_in(item.answer)
        if nothing:
            return self._failed(item, nothing)
        mine = {role: judge.about(item.example, item.answer.reply) if isinstance(judge, KnowsItems) else judge for role, judge in judges.items()}
        try:
            verdict = self._benchmark.verdict(item.example, item.answer.reply, mine)
        except (TimeoutError, ConnectionError, ModelError) as error:
            self._raised += 1
            if not self._worked and self._raised >= HOPELESS:
                raise ModelError(f"{self._name}: the judge failed on the first {self._raised} answers: {_said(error)}", "charter doctor") from None
            return self._failed(item, f"the judge gave no verdict: {_said(error)}")
        self._worked = True
        return verdict

    def _failed(self, item: Item, reason: str) -> Verdict:
        subject = subject_of(item.example, item.answer.reply)
        return Verdict(subject=subject, outcome="failed", reason=reason, judge=self._by, judge_version=self._version)


def _said(error: Exception) -> str:
    return getattr(error, "message", "") or str(error) or type(error).__name__
