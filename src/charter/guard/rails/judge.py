"""Any judge of the shelf as a rail: guard models (Llama Guard, ShieldGemma, WildGuard, Qwen3Guard, …), LLM judges, algebra of judges.

``settings: {judge: llama_guard, settings: {model: "openai:NAME@URL", version: 3}}``, or ``judge`` as everywhere else (``{judge: "threshold: {judge:
classifier, head: injection}"}``, a judge's file). On the output it reads the conversation with its reply. On the
input it is asked about the last message of the users in its conversation, all their messages as one, and every text of another role as if a user had
written it: the worst answer counts. What the model said before the users' last message is only what came before. A judge that gives no score decides
by its own label.
"""

from __future__ import annotations

import inspect
import threading
from collections.abc import Callable
from typing import Any, Literal

from pydantic import Field

from charter.core import registry
from charter.core.config import Config as BaseConfig
from charter.core.config import Document, SpecText, parse
from charter.core.errors import InputError
from charter.core.rows import Conversation, Verdict
from charter.core.shapes import Judge
from charter.guard.policy import Stage
from charter.guard.rails._forbidding import without_forbidding
from charter.guard.rails._said import say
from charter.guard.rails._texts import ROLES, Role, of_others, without_past
from charter.judges._loaded import own_versions
from charter.judges._spec import build_judge

NOT_COVERED = (
    "Whatever the judge behind it does not cover. It is asked again for every system message, tool result and document. "
    "A judge of replies finds nothing to judge in a request: it fails there, and the guard blocks. "
    "A judge that asks a model for an opinion is put to no self-test at the start: charter judges selftest JUDGE does that."
)
COST = "remote"
EXAMPLE = {"judge": "request"}


class Config(BaseConfig):
    """Which judge."""

    judge: SpecText = Field(min_length=1, description="which judge: a name (charter list judges), or as wherever a judge is named, settings and all")
    settings: dict[str, Any] = Field(default={}, description="the judge's own settings, where judge is a name")
    roles: tuple[Role, ...] = Field(
        default=ROLES,
        min_length=1,
        description="whose texts of a request are judged; descriptions of tools are system, a reply begun for the model assistant",
    )
    head: str = Field(default="", description="of a judge with several scores, the one that counts; leave out for its main score")
    cost: Literal["instant", "local", "remote"] = Field(
        default="remote", description="when it is asked, and the time it has: a model elsewhere is remote"
    )


class JudgeRail:
    """One judge for each thread: judges that ask a model are not made for several at once."""

    name = "judge"

    def __init__(self, config: Config, make: Callable[[], Judge]) -> None:
        self._config, self._make = config, make
        self._own = threading.local()
        self.cost = config.cost
        first = self._judge()
        self.version = f"2+{first.name}.{first.version}"
        self.weights = own_versions(first)
        if config.head in getattr(first, "untaught", ()):
            raise InputError(
                f"the rail judge: head: no row taught the weights of {first.name} {config.head}", "docs/classifier.md says how to teach it"
            )

    def __call__(self, conversation: Conversation, stage: Stage) -> Verdict:
        if stage == "output":
            return self._of(conversation)
        found = [self._of(asked) for asked in self._requests(conversation)]
        return max(found, key=_risk).model_copy(update={"subject": conversation.id, "spans": ()})

    def _requests(self, conversation: Conversation) -> list[Conversation]:
        """What is asked about: at least one conversation, none of which ends in a reply."""
        roles = self._config.roles
        chat = [message for message in conversation.messages if not message.around]
        own = [number for number, message in enumerate(chat) if message.role == "user"]
        asked = []
        if own and "user" in roles:
            asked.append(Conversation(messages=tuple(chat[: own[-1] + 1])))
            asked += [Conversation.ask("\n\n".join(chat[number].text for number in own))] if len(own) > 1 else []
        others = dict.fromkeys(without_forbidding(text) for text in of_others(without_past(conversation), roles))
        asked += [Conversation.ask(text) for text in others if any(letter.isalnum() for letter in text)]
        return asked or [Conversation.ask(conversation.prompt)]

    def _of(self, conversation: Conversation) -> Verdict:
        found = self._judge()(conversation)
        if not self._config.head or found.outcome == "failed":
            return found
        score = found.scores.get(self._config.head)
        if score is None:
            return say(conversation, self.name, self.version, "failed", reason="the judge has no such head")
        return found.model_copy(update={"score": score})

    def _judge(self) -> Judge:
        if not hasattr(self._own, "judge"):
            self._own.judge = self._make()
        judge: Judge = self._own.judge
        return judge


def _risk(verdict: Verdict) -> float:
    """A plain "unsafe" first, then failures: what was not read was not found harmless."""
    if verdict.outcome == "failed":
        return 1.5
    return verdict.score if verdict.score is not None else {"unsafe": 2.0, "unsure": 0.5}.get(verdict.outcome, 0.0)


def build(config: Config) -> JudgeRail:
    """Raises InputError for a judge or a setting that does not exist, MissingPartError or ModelError where its model cannot be had."""
    if config.judge not in registry.names("judges"):
        if config.settings:
            raise InputError(
                f"the rail judge: settings stand beside {config.judge[:80]!r}, which is no name of a judge", "write them in one of the two places"
            )
        return JudgeRail(config, lambda: build_judge(config.judge))
    module = registry.find("judges", config.judge)
    settings = parse(module.Config, Document(f"judge {config.judge}", config.settings, {}, ()), "charter list judges")

    def make() -> Judge:
        judge = module.build(settings)
        if not isinstance(judge, Judge) or len(inspect.signature(judge.__call__).parameters) != 1:
            raise InputError(f"{config.judge} does not judge one conversation and is no rail", "charter list judges")
        return judge

    return JudgeRail(config, make)
