"""The rows that rooms exchange: frozen values, unknown fields refused, identity = hash of the content.

Rows hold no storage detail and no behaviour beyond small derivations. Equal content means equal id, on any machine, in any run.
New fields must have defaults, so that old rows keep loading (``tests/golden`` holds old rows).
"""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field

SCHEMA_VERSION = 1
ID_LENGTH = 16
#: A training row with this tag was cut by the token limit of generation: no end-of-turn token is learned behind it.
TRUNCATED = "truncated"

Outcome = Literal["safe", "unsafe", "unsure", "failed"]
RefusalLabel = Literal["full", "partial", "none", "unsure"]


def content_id(value: Any) -> str:
    """Hex digest (16 digits of SHA-256) of any JSON-able value, independent of key order."""
    return content_digest(value)[:ID_LENGTH]


def content_digest(value: Any) -> str:
    """The whole digest (64 digits). Two values with one id can be found by trying; two with one digest cannot."""
    return _digest(_canonical(value))


def _digest(canonical: str) -> str:
    return hashlib.sha256(canonical.encode("utf-8", "surrogatepass")).hexdigest()


_canonical = json.JSONEncoder(sort_keys=True, ensure_ascii=False, separators=(",", ":")).encode


class Row(BaseModel):
    """Base of all rows. ``id`` is derived, so it is never stored inside the row itself; a field at its default does not count towards it, so that a
    field that is added later renames no older row."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    #: The digest once it was asked for: a request's is, a dozen times. A slot is no part of a copy, of a pickle or of what is compared.
    __slots__ = ("_known_digest",)
    if TYPE_CHECKING:
        _known_digest: ClassVar[str]
    schema_version: int = SCHEMA_VERSION

    @property
    def id(self) -> str:
        return self.digest[:ID_LENGTH]

    @property
    def digest(self) -> str:
        """What the id is the beginning of. Where something is kept by content and an attacker writes the content, this is the key."""
        try:
            known: str = _KNOWN.__get__(self)
        except AttributeError:
            known = _digest(self._content())
            object.__setattr__(self, "_known_digest", known)
        return known

    def _content(self) -> str:
        """What the digest is of."""
        return _canonical(self.model_dump(mode="json", exclude_defaults=True))

    def __hash__(self) -> int:
        return hash(self.id)  # some rows hold dictionaries, which have no hash of their own


#: The slot itself: pydantic looks in many places for what is not in it yet.
_KNOWN: Any = Row.__dict__["_known_digest"]


class Part(Row):
    """One piece of a message that is not plain text; ``data`` is a URL or base64, never opened here."""

    type: Literal["text", "image", "audio", "video", "file"]
    text: str = ""
    data: str = ""


class ToolCall(Row):
    name: str
    arguments: str
    call_id: str = ""


class Message(Row):
    role: Literal["system", "user", "assistant", "tool"]
    content: str | tuple[Part, ...]
    tool_calls: tuple[ToolCall, ...] = ()
    #: No message of the chat: texts that reach the model beside it, such as descriptions of tools, or (role ``tool``) documents handed over for it to
    #: read. Not stored where it is not so.
    around: bool = Field(default=False, exclude_if=lambda around: not around)

    @property
    def is_plain(self) -> bool:
        """Whether it is a text with its role, and nothing else."""
        return isinstance(self.content, str) and not self.tool_calls and not self.around and self.schema_version == SCHEMA_VERSION

    @property
    def text(self) -> str:
        if isinstance(self.content, str):
            return self.content
        return "\n".join(part.text for part in self.content if part.text)


class Conversation(Row):
    messages: tuple[Message, ...]

    def _content(self) -> str:
        """The same for plain messages, written down at once: a guard asks for a dozen digests of each request."""
        if self.schema_version != SCHEMA_VERSION or not all(message.is_plain for message in self.messages):
            return super()._content()
        told = [f'{{"content":{_canonical(message.content)},"role":"{message.role}"}}' for message in self.messages]
        return f'{{"messages":[{",".join(told)}]}}'

    @classmethod
    def ask(cls, prompt: str, system: str = "") -> Conversation:
        """A conversation of one user message, with an optional system message before it."""
        head = (Message(role="system", content=system),) if system else ()
        return cls(messages=(*head, Message(role="user", content=prompt)))

    @classmethod
    def plain(cls, text: str = "") -> Conversation:
        """No chat at all: ``text``, to be gone on with or weighed as it stands, without a chat template. Base models have no other form."""
        return cls(messages=(Message(role="assistant", content=text),))

    @property
    def is_plain(self) -> bool:
        """Whether there is nothing but text of the model's own, so no chat to put it in."""
        return len(self.messages) == 1 and self.messages[0].role == "assistant"

    def with_reply(self, reply: str) -> Conversation:
        return Conversation(messages=(*self.messages, Message(role="assistant", content=reply)))

    def with_user(self, text: str) -> Conversation:
        return Conversation(messages=(*self.messages, Message(role="user", content=text)))

    def replace_text(self, old: str, new: str) -> Conversation:
        """The same conversation with ``old`` replaced in every plain-text message."""
        swap = [m.model_copy(update={"content": m.content.replace(old, new)}) if isinstance(m.content, str) else m for m in self.messages]
        return Conversation(messages=tuple(swap))

    @property
    def without_reply(self) -> Conversation:
        """The conversation up to, and without, a final assistant message."""
        return Conversation(messages=self.messages[:-1]) if self.reply is not None else self

    @property
    def prompt(self) -> str:
        """Text of the last user message, '' if there is none."""
        return next((m.text for m in reversed(self.messages) if m.role == "user"), "")

    @property
    def operator(self) -> str:
        """What who set the model up told it: the texts of the system messages, a line break between them; '' without any."""
        return "\n".join(m.text for m in self.messages if m.role == "system" and not m.around and m.text.strip())

    @property
    def reply(self) -> str | None:
        last = self.messages[-1] if self.messages else None
        return last.text if last is not None and last.role == "assistant" else None


class Source(Row):
    """Where a row came from: enough to find it again and to know its licence."""

    dataset: str
    revision: str = ""
    row: str = ""
    licence: str = ""
    parents: tuple[str, ...] = ()
    run: str = ""


class Example(Row):
    """A prompt to answer, a training row, a benchmark item: one type. ``key`` is the name people know it by."""

    key: str
    conversation: Conversation
    target: str | None = None
    harmful: bool | None = None
    hazard: str = ""
    tags: tuple[str, ...] = ()
    labels: dict[str, str] = Field(default={}, description="what else a benchmark knows of the item, such as its right answer")
    source: Source

    @property
    def prompt(self) -> str:
        return self.conversation.prompt


class Verdict(Row):
    """What a judge saw. An observation, never an action. ``failed`` has no score: it is counted, not averaged."""

    subject: str
    outcome: Outcome
    score: float | None = Field(default=None, ge=0.0, le=1.0)
    scores: dict[str, float] = Field(default={}, description="by head, for judges that have several")
    label: str = ""
    hazards: tuple[str, ...] = ()
    spans: tuple[tuple[int, int], ...] = ()
    reason: str = ""
    judge: str
    judge_version: str

    def model_post_init(self, context: Any, /) -> None:
        if self.outcome == "failed" and self.score is not None:
            raise ValueError("a failed verdict has no score")


class Comparison(Row):
    """Two replies to one conversation, each order judged once. Probabilities are P(first reply is better)."""

    conversation: Conversation
    a: str
    b: str
    principle: str = ""
    p_forward: float | None = None
    p_backward: float | None = None
    judge: str = ""

    def swap(self) -> Comparison:
        return self.model_copy(update={"a": self.b, "b": self.a, "p_forward": _flip(self.p_backward), "p_backward": _flip(self.p_forward)})

    @property
    def probability(self) -> float | None:
        """Mean of both orders, or None if either failed: half a judgement is no judgement."""
        if self.p_forward is None or self.p_backward is None:
            return None
        return (self.p_forward + self.p_backward) / 2


def _flip(p: float | None) -> float | None:
    return None if p is None else 1.0 - p


class Preference(Row):
    """A pair to learn from. ``probability`` is that of ``chosen`` being better."""

    key: str
    conversation: Conversation
    chosen: str
    rejected: str
    #: Cut by the token limit of generation, so that its last word is not where the reply ends. Not stored where it is not so.
    chosen_cut: bool = Field(default=False, exclude_if=lambda cut: not cut)
    rejected_cut: bool = Field(default=False, exclude_if=lambda cut: not cut)
    probability: float = Field(ge=0.0, le=1.0)
    principle: str = ""
    direction: Literal["harmless", "helpful"]
    verdicts: tuple[Verdict, ...] = ()
    source: Source


class Finding(Row):
    """A successful attack, or an incident in production: the same shape."""

    attack: str
    family: str
    target: str
    goal: str
    hazard: str = ""
    conversation: Conversation
    verdict: Verdict
    severity: Literal["low", "medium", "high"] = "medium"
    status: Literal["open", "confirmed", "dismissed", "fixed"] = "open"
    source: Source


class Decision(Row):
    """What was done about a subject, by which rails or which person, and why."""

    subject: str
    action: Literal["allow", "flag", "mask", "block", "escalate"]
    by: tuple[str, ...]
    reason: str = ""
    replacement: str | None = None
    verdicts: tuple[Verdict, ...] = ()


class Metric(Row):
    """A number that may leave evaluation: with its interval, its denominators and how it was made."""

    name: str
    value: float | None
    low: float | None
    high: float | None
    n: int
    n_failed: int = 0
    n_unparsed: int = Field(
        default=0, description="answered, but the answer could not be read; in no numerator, and in ``n`` only where the metric says so"
    )
    n_answers: int | None = Field(
        default=None,
        exclude_if=lambda n_answers: n_answers is None,
        description="how many answers were asked for, where ``n`` counts something else, such as items with several; not stored where it does not",
    )
    method: str

    @property
    def is_share(self) -> bool:
        """Whether the value is a share from 0 to 1, counted of whole answers, raw or corrected."""
        return self.method.startswith(("wilson95", "rogan-gladen"))

    @property
    def answers(self) -> int:
        """What ``n_failed`` and ``n_unparsed`` are a share of."""
        return self.n + self.n_failed + self.n_unparsed if self.n_answers is None else self.n_answers


class Sampling(Row):
    """How to draw a reply. ``temperature`` 0 is greedy."""

    max_tokens: int = Field(default=64, ge=1)
    temperature: float = Field(default=0.0, ge=0.0)
    top_p: float = Field(default=1.0, gt=0.0, le=1.0)
    seed: int = 0


class Reply(Row):
    """What a model said. ``finish`` 'error' means there is no reply, and ``error`` says why. Where the model was asked to weigh ``options``,
    ``logprobs`` are theirs in nats, in order, and ``text`` is the likeliest."""

    text: str
    finish: Literal["stop", "length", "error"]
    tokens_in: int = 0
    tokens_out: int = 0
    error: str = ""
    options: tuple[str, ...] = ()
    logprobs: tuple[float, ...] = ()


class Run(Row):
    """The first file of every run folder: what was asked for, with what, and how it went."""

    stage: str
    config: dict[str, Any]
    seed: int = 0
    versions: dict[str, str] = Field(default_factory=dict)
    inputs: dict[str, str] = Field(default_factory=dict)
    outputs: dict[str, str] = Field(default_factory=dict)
    rows_in: int = 0
    rows_out: int = 0
    dropped: dict[str, int] = Field(default_factory=dict)
    seconds: float = 0.0
    status: Literal["running", "done", "failed"] = "running"


class Answer(Row):
    """One reply of one model to one conversation, as stored: the unit of resuming."""

    model: str
    conversation: Conversation
    sampling: Sampling
    reply: Reply


class Drop(Row):
    """Something that was left out, and why. Drops are rows, so that a resumed run counts the same ones."""

    subject: str
    reason: str
    detail: str = ""
