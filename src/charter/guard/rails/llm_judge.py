"""A question of your own to any model: does the request, or the reply, do what your policy forbids? Yes or no, by log-probability or in words.

The prompt is ``llm_judge.txt``. Of a request everything is judged but the model's answers before the last message of a user. Judged text is quoted
line by line under a code that it does not hold, so that it cannot speak to the judge. Anything but a clear yes or no is a failure, never a pass.
"""

from __future__ import annotations

import re
import threading
from pathlib import Path
from typing import Literal

from pydantic import Field

from charter.core.config import Config as BaseConfig
from charter.core.config import SpecText
from charter.core.rows import Conversation, Message, Sampling, Verdict, content_id
from charter.core.shapes import Model
from charter.guard.policy import Stage
from charter.guard.rails._said import say
from charter.guard.rails._texts import without_past
from charter.judges._quoting import fill, mark_for, quoted, transcript
from charter.judges.pairwise import share_of_first
from charter.models import load_model

NOT_COVERED = (
    "What the model asked cannot judge. Small models are near chance; any model may be talked round by text that no quoting stops. "
    "No self-test is put to it at the start, since a gateway starts without its model servers: try the model with "
    "charter judges selftest harmbench:MODEL, and calibrate the rail on rows of yours."
)
COST = "remote"
EXAMPLE = {"model": "scripted", "policy": "No one may be insulted."}
OPTIONS = ("yes", "no")
_ANSWER = re.compile(r"\s*answer\s*:\s*(yes|no)\s*[.!]?\s*", re.IGNORECASE)
_SCORES = {"yes": 1.0, "no": 0.0}
_HOW = {
    "options": "Answer with one word: yes or no.",
    "words": "Give one sentence of reason. Then end with a line that is exactly\nANSWER: yes\nor exactly\nANSWER: no",
}


class Config(BaseConfig):
    """What is asked, and whom."""

    model: SpecText = Field(min_length=1, description="openai:NAME@URL, hf:ORG/NAME, a folder, embedded, scripted")
    policy: str = Field(min_length=10, description="what is forbidden, in a few sentences; say what is fine as well")
    hazard: str = Field(default="", description="the charter's hazard that a yes names")
    read: Literal["words", "options"] = Field(
        default="words", description="words: the last line of its answer; options: P(yes) from log-probabilities"
    )
    max_tokens: int = Field(default=160, ge=1, description="room for an answer in words")


class LlmJudgeRail:
    """Score 1 or 0 in words, P(yes) by options. One model object for each thread."""

    name = "llm_judge"

    def __init__(self, config: Config) -> None:
        self._config = config
        self._template = Path(__file__).with_name("llm_judge.txt").read_text(encoding="utf-8")
        self._own = threading.local()
        self.version = f"3.{content_id([self._template, config.policy, config.read])[:8]}+{self._model().spec}"

    def __call__(self, conversation: Conversation, stage: Stage) -> Verdict:
        asked = Conversation.ask(self.prompt(conversation, stage))
        score = self._by_options(asked) if self._config.read == "options" else self._in_words(asked)
        if score is None:
            return say(conversation, self.name, self.version, "failed", reason="no clear yes or no")
        named = (self._config.hazard,) if self._config.hazard and score >= 0.5 else ()
        return say(conversation, self.name, self.version, "unsafe" if score >= 0.5 else "safe", score=score, hazards=named)

    def prompt(self, conversation: Conversation, stage: Stage) -> str:
        """The text that the model reads."""
        judged = conversation.messages[-1:] if stage == "output" else without_past(conversation).messages
        before = conversation.messages[:-1] if stage == "output" else _before(conversation, len(judged))
        values = {
            "what": "reply" if stage == "output" else "request",
            "policy": self._config.policy,
            "before": transcript([(m.role, m.text) for m in before]) or "(nothing)",
            "judged": quoted(_said(judged[0])) if stage == "output" and judged else transcript([(m.role, _said(m)) for m in judged]),
        }
        how = _HOW[self._config.read]
        return fill(self._template, {**values, "how": how, "mark": mark_for(*values.values())})

    def _in_words(self, asked: Conversation) -> float | None:
        reply = self._model().reply([asked], Sampling(max_tokens=self._config.max_tokens))[0]
        if reply.finish != "stop" or not reply.text.strip():
            return None
        found = _ANSWER.fullmatch(reply.text.strip().splitlines()[-1])
        return _SCORES[found[1].lower()] if found else None

    def _by_options(self, asked: Conversation) -> float | None:
        return share_of_first(self._model().score(asked, OPTIONS), minimum_mass=0.05)

    def _model(self) -> Model:
        if not hasattr(self._own, "model"):
            self._own.model = load_model(self._config.model)
        model: Model = self._own.model
        return model


def _before(conversation: Conversation, judged: int) -> tuple[Message, ...]:
    """The whole of a chat in which the model has answered already: beside it, what the judged texts are about can be understood."""
    return conversation.messages if judged < len(conversation.messages) else ()


def _said(message: Message) -> str:
    return "\n".join([message.text, *(f"{call.name}({call.arguments})" for call in message.tool_calls)])


def build(config: Config) -> LlmJudgeRail:
    """Raises InputError or ModelError where the model cannot be had."""
    return LlmJudgeRail(config)
