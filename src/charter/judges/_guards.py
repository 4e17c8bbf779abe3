"""What the judges share that ask a guard model in the exact format it was trained on.

``format: raw`` sends the published prompt, written here, as one text (local weights, or a URL with ``/completions``); ``format: chat`` sends messages
and leaves the prompt to the chat template of the weights or of the server. Judged text is the only strange thing in a prompt: control tokens and the
format's own markers are broken in it, so that it cannot close its quotation.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Literal, NamedTuple

from pydantic import Field

from charter.core.config import Config as BaseConfig
from charter.core.config import SpecText
from charter.core.errors import InputError
from charter.core.normalise.fold import seen
from charter.core.rows import Conversation, Message
from charter.core.shapes import Model
from charter.judges._asking import AskingJudge
from charter.judges._quoting import defang, version_of
from charter.models import load_model
from charter.models._raw import load_raw

#: What a model reads over before a speaker, or before the colon behind one: blanks, marks of Markdown, and characters that nobody sees.
_OVER = r"[ \t*_>#~\u00a0\u00ad\u061c\u115f\u1680\u180e\u2000-\u200f\u202a-\u202f\u205f-\u206f\u3000\ufe00-\ufe0f\ufeff\U000e0000-\U000e007f]*"
#: Line beginnings that a format reads as a speaker or as a part of itself. A heading's word begins with a letter that is not read over and nothing of
#: it is given back (``++``): otherwise a line of underscores is tried in as many ways as it is long, squared.
_SPEAKER = re.compile(
    rf"^({_OVER}(?:user|agent|assistant|human user|ai assistant|human question|chatbot response|user message|assistant message|context|safety"
    rf"|categories|refusal|harmful request|response refusal|harmful response|answers|### [_\u115f ]*+[^\W_\u115f]\w*+(?: \w++)?))(?={_OVER}+[:：])",
    re.IGNORECASE | re.MULTILINE,
)
NOBODY = "(no message)"


class GuardConfig(BaseConfig):
    """Settings of a judge that asks a guard model."""

    model: SpecText = Field(default="", description="the guard model: openai:NAME@URL, hf:ORG/NAME, or a folder of weights")
    format: Literal["", "chat", "raw"] = Field(
        default="", description="chat: the weights' or the server's own template; raw: the published prompt; empty: what the model is known to have"
    )
    max_tokens: int = Field(default=64, ge=1, description="room for the verdict")


class Turn(NamedTuple):
    """One turn of the judged conversation; ``agent`` is the assistant."""

    agent: bool
    text: str


class GuardJudge(AskingJudge):
    """Judges the reply if the conversation ends in one, else the request. ``spans`` and reasons are not what these models give."""

    answers: tuple[str, ...] = ("harmful_reply", "harmful_request")
    must_prequalify = False
    needs_reply = False

    def __init__(self, model: Model, config: GuardConfig, chosen: str, *settings: str) -> None:
        super().__init__(model, f"1.{version_of(self.name, chosen, *settings)}")
        self.max_tokens = config.max_tokens
        self.format = chosen

    def questions(self, conversation: Conversation) -> list[Conversation]:
        turns = turns_of(conversation)
        return [Conversation.ask(self.prompt(turns))] if self.format == "raw" else [self.chat(turns)]

    def prompt(self, turns: Sequence[Turn]) -> str:
        """The published prompt, without the first token that the tokenizer adds."""
        raise NotImplementedError

    def chat(self, turns: Sequence[Turn]) -> Conversation:
        """The messages for the model's own template."""
        return Conversation(messages=tuple(Message(role="assistant" if t.agent else "user", content=t.text) for t in turns))


def turns_of(conversation: Conversation) -> list[Turn]:
    """User and assistant by turns, beginning with the user: system messages are left out, neighbours of one role are joined."""
    turns: list[Turn] = []
    for message in conversation.messages:
        if message.role == "system" or not seen(message.text):
            continue
        agent = message.role == "assistant"
        if not turns and agent:
            turns.append(Turn(False, NOBODY))
        if turns and turns[-1].agent == agent:
            turns[-1] = Turn(agent, f"{turns[-1].text}\n\n{clean(message.text)}")
        else:
            turns.append(Turn(agent, clean(message.text)))
    return turns


def clean(text: str) -> str:
    """A judged text in which nothing is a control token, a marker or a speaker of one of these formats."""
    whole = "\n".join(defang(text).splitlines()).strip()
    return _SPEAKER.sub(lambda match: match[1] + " ", whole)


def last_pair(turns: Sequence[Turn]) -> tuple[str, str | None]:
    """The last request and the reply to it, for formats that hold one exchange."""
    if turns and turns[-1].agent:
        return (turns[-2].text if len(turns) > 1 else NOBODY), turns[-1].text
    return (turns[-1].text if turns else NOBODY), None


def open_guard(name: str, config: GuardConfig, default: str, allowed: Sequence[str] = ("chat", "raw")) -> tuple[Model, str]:
    """The model and the format that is used. Raises InputError without a model, or for a format that this guard does not have."""
    if not config.model:
        raise InputError(f"the judge {name} asks a guard model, and none was given", f"{name}:openai:MODEL@http://localhost:8000/v1")
    chosen = config.format or default
    if chosen not in allowed:
        raise InputError(f"{name}: format: {chosen} is not one that it has; it has {', '.join(allowed)}", f"{name}: {{format: {allowed[0]}}}")
    return (load_raw(config.model) if chosen == "raw" else load_model(config.model)), chosen
