"""What the codecs of several surfaces share: events in and out, and text that is told piece by piece and once more as a whole."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from charter.core.rows import ToolCall
from charter.guard.gateway.surfaces._located import Path
from charter.guard.gateway.surfaces._reading import undone
from charter.guard.gateway.surfaces._surface import Asked, BadAnswerError, Piece, Said, UpstreamFailedError
from charter.guard.gateway.surfaces._texts import Gather, Text
from charter.guard.gateway.wire import sse, strict

#: Channels of text in the order in which a reply's parts stand in ``Codec.whole``.
TEXTS = ("reasoning", "content", "refusal", "note")


@dataclass(slots=True)
class Made:
    """A frame whose event is made when it leaves. ``make`` gets the texts of its pieces."""

    choice: int | None
    pieces: tuple[Piece, ...]
    make: Callable[[Sequence[str]], bytes]
    ends: bool = False

    def emit(self, texts: Sequence[str]) -> bytes:
        return self.make(texts)


@dataclass(slots=True)
class Told:
    """Text that comes in pieces. ``raw`` as the upstream told it, ``sent`` as it went to the client; ``shown`` once its opening event is out."""

    raw: str = ""
    sent: str = ""
    shown: bool = False
    closed: bool = False
    extra: list[Any] = field(default_factory=list)  # log probabilities, annotations

    def rest(self, whole: Any) -> str:
        """What ``whole``, the text told once more at its end, has beyond its pieces. Raises BadAnswerError if it is another text."""
        if whole is None:
            return ""
        if not isinstance(whole, str) or not whole.startswith(self.raw):
            raise BadAnswerError("a text was told otherwise at its end than in its pieces")
        return whole[len(self.raw) :]


#: The usage of a request that no model was asked.
NOTHING: Final[Mapping[str, Any]] = {"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0}


class Spent:
    """The usage of a streamed chat completion or completion. A stream that is stopped never tells it, so the last one that was seen is told in its
    place; where the upstream had told none yet nobody knows it, and no number is made up."""

    def __init__(self, asked: Asked) -> None:
        options = asked.body.get("stream_options")
        self._wanted = isinstance(options, dict) and options.get("include_usage") is True
        self._last: Mapping[str, Any] | None = None
        self.told = self.withheld = False

    def see(self, usage: Any) -> None:
        if isinstance(usage, Mapping):
            self._last = usage

    def owed(self, shell: Mapping[str, Any]) -> bytes:
        """The chunk that is still to be told; b'' if there is none. ``shell``: what every chunk holds."""
        if not self._wanted or self.told or not self.withheld or self._last is None:
            return b""
        return sse.event({**shell, "choices": [], "usage": self._last})


@dataclass(slots=True)
class Calls:
    """The tool calls of a reply: their channels and names, in order."""

    names: dict[str, str] = field(default_factory=dict)

    def add(self, name: str, *, plain: bool = False) -> str:
        """A new tool call; returns its channel. ``plain``: its input is text and no JSON."""
        channel = f"{'input' if plain else 'tool'}:{len(self.names)}"
        self.names[channel] = name
        return channel


def said(calls: Calls, texts: Mapping[str, str], structured: bool = False) -> Said:
    """The one reply of a stream. Paths are the channels."""
    spoken: list[Text] = [((channel,), texts[channel]) for channel in TEXTS if texts.get(channel)]
    made: list[tuple[Path | None, ToolCall]] = []
    for channel, name in calls.names.items():
        arguments = texts.get(channel, "")
        made.append(((channel,), ToolCall(name=name, arguments=arguments)))
        spoken += [(None, hidden) for hidden in [undone(arguments)] if hidden]
    if structured:
        spoken += [(None, plain) for plain in [undone(texts.get("content", ""))] if plain]
    gather = Gather()
    gather.message("assistant", spoken, made)
    return Said(0, 0, gather.located())


def event(name: str, value: Any) -> bytes:
    """One event with its name, as these two APIs write them."""
    return sse.event(value, name)


def read(data: bytes) -> dict[str, Any]:
    """The value of an event. Raises BadAnswerError."""
    try:
        value = strict.read(data)
    except strict.NotJsonError as error:
        raise BadAnswerError(error.kind) from None
    if not isinstance(value, dict):
        raise BadAnswerError("an event is no object")
    return value


def chunk_of(event: str, data: bytes) -> dict[str, Any] | None:
    """The next chunk of a chat completion or a completion; None for the end mark. Raises BadAnswerError, and UpstreamFailedError for an error."""
    if data == b"[DONE]":
        return None
    chunk = read(data)
    if event == "error" or chunk.get("error") is not None or chunk.get("object") == "error":  # vLLM's older errors are bare
        raise UpstreamFailedError
    return chunk


def going_on(choice: dict[str, Any]) -> dict[str, Any]:
    """A choice of a chunk; an empty reason to finish, which some servers write into every chunk, is none."""
    return {**choice, "finish_reason": None} if choice.get("finish_reason") == "" else choice


def index(value: dict[str, Any], name: str) -> int:
    """A place that an event names. Raises BadAnswerError."""
    found = value.get(name)
    if isinstance(found, bool) or not isinstance(found, int) or not 0 <= found < 10_000:
        raise BadAnswerError(f"an event has no {name}")
    return found
