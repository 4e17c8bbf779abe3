"""Any judge of the shelf as a rail: guard models (Llama Guard, ShieldGemma, WildGuard, Qwen3Guard, …), LLM judges, algebra of judges.

``settings: {judge: llama_guard, settings: {model: "openai:NAME@URL", version: 3}}``. On the input it reads the conversation without a reply, on
the output with it. A judge that gives no score decides by its own label.
"""

from __future__ import annotations

import inspect
import threading
from collections.abc import Callable
from typing import Any, Literal

from pydantic import Field

from charter.core import registry
from charter.core.config import Config as BaseConfig
from charter.core.config import Document, parse
from charter.core.errors import InputError
from charter.core.rows import Conversation, Verdict
from charter.core.shapes import Judge
from charter.guard.policy import Stage
from charter.guard.rails._said import say

NOT_COVERED = (
    "Whatever the judge behind it does not cover. A judge of replies finds nothing to judge in a request: it fails there, and the guard blocks. "
    "A judge that asks a model for an opinion is put to no self-test at the start: charter judges selftest JUDGE does that."
)
COST = "remote"
EXAMPLE = {"judge": "request"}


class Config(BaseConfig):
    """Which judge."""

    judge: str = Field(min_length=1, description="a file on the judges' shelf: charter list judges")
    settings: dict[str, Any] = Field(default={}, description="the judge's own settings")
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
        self.version = f"1+{first.name}.{first.version}"

    def __call__(self, conversation: Conversation, stage: Stage) -> Verdict:
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


def build(config: Config) -> JudgeRail:
    """Raises InputError for a judge or a setting that does not exist, MissingPartError or ModelError where its model cannot be had."""
    module = registry.find("judges", config.judge)
    settings = parse(module.Config, Document(f"judge {config.judge}", config.settings, {}, ()), "charter list judges")

    def make() -> Judge:
        judge = module.build(settings)
        if not isinstance(judge, Judge) or len(inspect.signature(judge.__call__).parameters) != 1:
            raise InputError(f"{config.judge} does not judge one conversation and is no rail", "charter list judges")
        return judge

    return JudgeRail(config, make)
