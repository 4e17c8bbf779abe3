"""Attempts: every attack on every goal, as conversations to send, and what came back."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from charter.core.errors import InputError
from charter.core.rows import Answer, Conversation, Example, Verdict
from charter.core.seeds import stream
from charter.core.shapes import Attack, Judge
from charter.judges._judging import key_of
from charter.redteam.outcome import failure_of


class Attempt(NamedTuple):
    """One conversation to send, and where it came from."""

    key: str
    attack: str
    family: str
    goal: Example
    conversation: Conversation

    def beside_goal(self, answer: Answer) -> Answer:
        """The answer as it is judged: to the goal itself, not to the words of the attack."""
        return answer.model_copy(update={"conversation": self.goal.conversation})


class Read(NamedTuple):
    """An attempt with its answer and both verdicts."""

    attempt: Attempt
    answer: Answer
    refusal: Verdict
    harm: Verdict

    @property
    def failure(self) -> str:
        return failure_of(self.answer, self.refusal, self.harm)

    @property
    def is_stale(self) -> bool:
        """Whether a verdict failed on an answer that was asked for again since."""
        subject = self.attempt.goal.conversation.with_reply(self.answer.reply.text).id
        return any(verdict.outcome == "failed" and verdict.subject != subject for verdict in (self.refusal, self.harm))


def attempts_on(goals: Sequence[Example], attacks: Mapping[str, Attack], seed: int) -> list[Attempt]:
    """All attempts, in the order of the attacks and then of the goals. One stream per attack and goal: adding one changes no other. Raises InputError
    for an attack that yields nothing for a goal: the goal would be lost without a count."""
    found: list[Attempt] = []
    for name, attack in attacks.items():
        family = getattr(attack, "family", name)
        for goal in goals:
            said = list(attack(goal, stream(seed, "attack", name, goal.key)))
            if not said:
                raise InputError(f"the attack {name} has no words for the goal {goal.key!r}", "leave one of them out; charter list attacks")
            found += [Attempt(f"{name}/{goal.key}/{number}", name, family, goal, conversation) for number, conversation in enumerate(said)]
    return found


def read(attempts: Iterable[Attempt], answers: Mapping[str, Answer], verdicts: Mapping[str, Verdict], judges: Mapping[str, Judge]) -> list[Read]:
    """Those of the attempts that were answered and judged in both roles, in their order."""
    found = []
    for attempt in attempts:
        refusal, harm = (verdicts.get(key_of(judges[role], attempt.key)) for role in ("refusal", "harm"))
        answer = answers.get(attempt.key)
        if answer is not None and refusal is not None and harm is not None:
            found.append(Read(attempt, answer, refusal, harm))
    return found
