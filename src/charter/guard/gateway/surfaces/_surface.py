"""What a surface is: the shape of one endpoint's requests, answers and streams. It checks nothing and sends nothing; the pipeline does.

Every field of a request, and of an answer, that can hold text is either read (and so checked) or named in the surface's contract as holding none.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, Protocol, runtime_checkable

from charter.guard.gateway.surfaces._located import Located

Dialect = Literal["openai", "anthropic"]
#: guarded: its text is checked; opaque: holds no text that a model reads or a person sees (numbers, flags, ids; forwarded as it is);
#: constrained: only plain names and enumerations, refused if it is anything else; refused: not served, the request is turned away.
Contract = Literal["guarded", "opaque", "constrained", "refused"]
#: (choice, channel): ``content``, ``reasoning``, ``thinking``, ``refusal``, ``transcript``, let out window by window (``content`` in full if it is
#: ``Asked.structured``); ``tool:N`` and ``call`` (JSON arguments), ``input:N`` (a tool's plain text), ``audio`` and any other, held in full.
Channel = tuple[int, str]


class BadRequestError(Exception):
    """A request that is turned away before any rail is asked. ``message`` never holds text of the request beyond the name of a field."""

    def __init__(self, message: str, *, param: str | None = None, code: str = "invalid_request", status: int = 400) -> None:
        super().__init__(message)
        self.message, self.param, self.code, self.status = message, param, code, status


class BadAnswerError(Exception):
    """The upstream's answer, or an event of its stream, is nothing that this surface can check: it must not be passed on."""


class UpstreamFailedError(Exception):
    """The upstream said in the middle of a stream that it failed."""


@dataclass(frozen=True, slots=True)
class Asked:
    """A request that was read. ``prompts``: what the input rails check, one for every independent prompt (a batch of completions or embeddings has
    several). ``choices``: how many replies are wanted for each prompt. ``bypass``: what of the request nobody here can read, let by because the
    operator says so."""

    body: dict[str, Any]
    model: str
    stream: bool
    prompts: tuple[Located, ...]
    choices: int = 1
    structured: bool = False  # the reply's content is JSON source: held in full, and values that are put back into it are escaped
    bypass: tuple[str, ...] = ()


class Said(NamedTuple):
    """One reply of an answer: the choice, which prompt it answers, and its message as the last one of ``located.conversation`` (which holds nothing
    else: the pipeline puts the prompt before it). Several texts of one reply (reasoning, content, refusal, transcript) are text parts of it; a reply
    that is one text is a message whose content is that text. Paths lead into the answer; in a stream they are the channel's name: ``("tool:0",)``.
    """

    choice: int
    prompt: int
    located: Located


class Withheld(NamedTuple):
    """What takes a reply's place. ``in_content``: the words also go where the reply's text would stand, for clients that know no refusals."""

    text: str
    in_content: bool = False


class Ids(NamedTuple):
    """Names for what the gateway makes itself."""

    decision_id: str
    created_unix_s: int


class Piece(NamedTuple):
    """Text that an event adds to a channel. ``repeats``: it adds nothing, it tells the whole channel again, as events that close a part do; the
    pump refuses the stream if it is not what came before, and gives ``emit`` what the client has of it.

    What has to wait for the last check though no text is known of it yet (the name of a tool, a picture) is a piece of a channel that is held in
    full, with an empty text: ``tool:N``, ``audio``.
    """

    channel: Channel
    text: str
    repeats: bool = False


class Frame(Protocol):
    """One event of an upstream's stream, understood. ``choice`` is None for what belongs to no choice (usage, pings). ``ends``: the choice's last."""

    choice: int | None
    pieces: tuple[Piece, ...]
    ends: bool

    def emit(self, texts: Sequence[str]) -> bytes:
        """The event for the client, with ``texts`` in place of its pieces' texts, in order. Unchanged texts keep the log probabilities; a changed
        text drops whatever would tell the old one. Always written anew from what was read (``wire.sse.event``), so that nothing that was not
        understood can leave. b'' if nothing is left to tell."""
        ...


class Notes(Protocol):
    """What is told of a reply besides its text, if the client asked for it."""

    def report(self) -> dict[str, Any] | None:
        """The ``moderation`` object; None if none was asked for."""
        ...

    def on_chunk(self, chunk: dict[str, Any], choice: int, *, ends: bool, filtered: bool) -> dict[str, Any]:
        """A chunk of a chat completion with its annotations."""
        ...


@runtime_checkable
class Annotated(Protocol):
    """A codec that can tell notes."""

    notes: Notes | None


class Codec(Protocol):
    """The stream of one answer. One object per request; it keeps what it needs to end the stream properly at any time.

    ``ended`` turns true at the upstream's end mark. ``answer_id`` is how the answer calls itself in what the client gets, None until that is known.
    A reply's last frame has ``ends``; after it no frame of that choice may hold text.
    """

    ended: bool

    @property
    def answer_id(self) -> object: ...

    def read(self, event: str, data: bytes) -> Sequence[Frame]:
        """The next event (its name, '' if it has none). An event that tells of several choices gives a frame for each; one that tells nothing,
        and the end mark, none. Raises BadAnswerError, and UpstreamFailedError for an event in which the upstream says that it failed."""
        ...

    def prompt(self, choice: int) -> int:
        """Which prompt a choice answers. Raises BadAnswerError for a choice that was not asked for."""
        ...

    def whole(self, choice: int, texts: Mapping[str, str]) -> Said:
        """The reply of a choice as far as it came, tool calls included: what the last check reads. ``texts``: the text of each channel, which the
        pump keeps; the codec keeps the rest (names of tools, that there was sound)."""
        ...

    def withhold(self, choice: int, withheld: Withheld) -> bytes:
        """Events that end a choice with a refusal and ``content_filter`` (or the dialect's word), whatever of it is out already."""
        ...

    def fail(self, code: str, message: str) -> bytes:
        """An event that the official SDKs raise an error on."""
        ...

    def end(self) -> bytes:
        """The end mark of a stream that ended well."""
        ...


class Surface(Protocol):
    """One endpoint. Stateless. What the checks masked is put into ``Asked.body`` by the pipeline, by the paths of its prompts."""

    name: str
    #: Served here, and asked for at the upstream's base URL without the leading ``/v1``.
    path: str
    dialect: Dialect
    #: Field that holds what was asked, for ``param`` of errors.
    texts: str
    #: Every field of the published request schema, by dotted name (``messages.content.text``); a test compares it with the SDK's own types.
    request_fields: Mapping[str, Contract]
    answer_fields: Mapping[str, Contract]

    def ask(self, body: dict[str, Any]) -> Asked:
        """Read a request. Raises BadRequestError."""
        ...

    def refuse(self, asked: Asked, withheld: Withheld, ids: Ids) -> dict[str, Any]:
        """A whole answer that declines, for policies that answer a blocked request with 200."""
        ...

    def refuse_stream(self, asked: Asked, withheld: Withheld, ids: Ids, notes: Notes | None = None) -> bytes:
        """``refuse`` as a stream, with the notes that the client asked for."""
        ...

    def replies(self, asked: Asked, answer: dict[str, Any]) -> list[Said]:
        """Every reply of an answer. Raises BadAnswerError for anything that cannot be read whole."""
        ...

    def answer(self, asked: Asked, answer: dict[str, Any], withheld: Mapping[int, Withheld], changed: Set[int]) -> dict[str, Any]:
        """The answer with the choices in ``withheld`` replaced: no text of theirs stays, tool calls and log probabilities are dropped. What the
        surface does not know, and could hold text, is dropped too. Masks and restored values are in ``answer`` already; where ``changed`` holds a
        choice, whatever would tell its old text (log probabilities) is dropped."""
        ...

    def codec(self, asked: Asked) -> Codec:
        """For ``stream: true``. Raises BadRequestError where the surface has no streams."""
        ...


@runtime_checkable
class Failing(Protocol):
    """A surface whose answers may say with status 200 that the model failed: such an ``error`` is part of the answer, and is read with it."""

    def failed(self, answer: dict[str, Any]) -> bool:
        """Whether an answer with an ``error`` is one of these."""
        ...


@runtime_checkable
class Local(Protocol):
    """One endpoint that is answered here: nothing goes upstream. Stateless."""

    name: str
    path: str
    dialect: Dialect
    request_fields: Mapping[str, Contract]
    answer_fields: Mapping[str, Contract]
    #: Of every answer that is one.
    headers: Sequence[tuple[bytes, bytes]]

    async def respond(self, body: dict[str, Any]) -> dict[str, Any]:
        """The answer. Raises BadRequestError, and GatewayError where it has none."""
        ...
