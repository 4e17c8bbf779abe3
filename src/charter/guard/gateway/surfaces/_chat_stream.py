"""The stream of a chat completion: chunks to frames, and the chunks that the gateway says itself."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from charter.core.rows import ToolCall
from charter.guard.gateway.surfaces import _chat_answer as whole_answer
from charter.guard.gateway.surfaces._calls import BODIES, call_kind, cleaned
from charter.guard.gateway.surfaces._chat_parts import pieces as listed
from charter.guard.gateway.surfaces._chat_parts import plain_parts
from charter.guard.gateway.surfaces._located import Path, put
from charter.guard.gateway.surfaces._reading import hidden, undone
from charter.guard.gateway.surfaces._stream import NOTHING, Spent, chunk_of, going_on
from charter.guard.gateway.surfaces._surface import Asked, BadAnswerError, Frame, Notes, Piece, Said, Withheld
from charter.guard.gateway.surfaces._texts import Gather, Media, Text, is_name, named, top, without_texts
from charter.guard.gateway.wire import sse

_CHOICE = frozenset({"index", "finish_reason", "delta", "logprobs"})
_DELTA = frozenset((*whole_answer.TEXTS, "role", "tool_calls", "function_call", "audio"))
_AUDIO = frozenset({"id", "data", "transcript", "expires_at"})
_NAMES, _FINISH, _ROLE = ("id", "object", "system_fingerprint", "service_tier"), ("finish_reason",), ("role",)
_HEAD = ("id", "object", "created", "model", "system_fingerprint", "service_tier")


class ChatFrame:
    """One choice of one chunk. ``_paths`` says where in the delta each piece's text stands, None where it has none."""

    __slots__ = ("_chunk", "_codec", "_paths", "choice", "ends", "pieces")

    def __init__(self, codec: ChatCodec, chunk: dict[str, Any], choice: int | None, pieces: tuple[Piece, ...], paths: list[Path | None], ends: bool):
        self._codec, self._chunk, self._paths = codec, chunk, paths
        self.choice, self.pieces, self.ends = choice, pieces, ends

    def emit(self, texts: Sequence[str]) -> bytes:
        if self.choice is None:
            self._codec.spent.told = self._codec.spent.told or self._chunk.get("usage") is not None
            return sse.event(self._chunk)
        chunk = self._chunk
        for piece, path, text in zip(self.pieces, self._paths, texts, strict=True):
            if path is not None and text != piece.text:
                chunk = put(chunk, ("choices", 0, "delta", *path), text)
        if chunk is not self._chunk:
            choice = {key: value for key, value in chunk["choices"][0].items() if key != "logprobs"}
            plain = all(field in whole_answer.TEXTS and not isinstance(text, list) for field, text in choice["delta"].items())
            if not any(texts) and not self.ends and "usage" not in chunk and plain:
                return b""
            chunk = {**chunk, "choices": [choice]}
        self._codec.told(self.choice)
        notes = self._codec.notes
        return sse.event(chunk if notes is None else notes.on_chunk(chunk, self.choice, ends=self.ends, filtered=False))


class ChatCodec:
    """See ``Codec``."""

    def __init__(self, asked: Asked, notes: Notes | None = None) -> None:
        self.ended = False
        self.notes = notes
        self.spent = Spent(asked)
        self._asked = asked
        self._head: dict[str, Any] = {}
        self._names: dict[tuple[int, str], str] = {}
        self._audio: set[int] = set()
        self._sources: dict[tuple[int, str], tuple[str, str]] = {}
        self._told: set[int] = set()

    def told(self, choice: int) -> None:
        """Something of this choice is out, so it has its role."""
        self._told.add(choice)

    @property
    def answer_id(self) -> object:
        return self._head.get("id")

    def read(self, event: str, data: bytes) -> Sequence[Frame]:
        chunk = chunk_of(event, data)
        if chunk is None:
            self.ended = True
            return ()
        chunk = named(top(chunk, whole_answer.TOP), _NAMES)
        self.spent.see(chunk.get("usage"))
        if not is_name(chunk.get("model")):  # the path of a file, say
            chunk = {**chunk, "model": self._asked.model}
        if not self._head:
            self._head = {key: chunk[key] for key in _HEAD if key in chunk}
        choices = chunk.get("choices")
        if not choices:
            return (ChatFrame(self, {**chunk, "choices": []}, None, (), [], False),)
        if not isinstance(choices, list):
            raise BadAnswerError("choices are no list")
        if len(choices) == 1:
            return (self._frame(chunk, choices[0]),)
        return [self._frame({**chunk, "choices": [choice]}, choice) for choice in choices]

    def _frame(self, chunk: dict[str, Any], choice: Any) -> ChatFrame:
        if not isinstance(choice, dict):
            raise BadAnswerError("a choice is no object")
        given, choice = choice, going_on(choice)
        index = choice.get("index", 0)
        delta = choice.get("delta")
        if delta is None:
            delta = {}
        if not isinstance(delta, dict) or not isinstance(index, int) or not 0 <= index < self._asked.choices:
            raise BadAnswerError("a choice cannot be read")
        pieces: list[Piece] = []
        paths: list[Path | None] = []
        lists: dict[str, Any] = {}
        told = 0
        for field, text in delta.items():
            channel = whole_answer.TEXTS.get(field)
            if channel is None or not text:
                continue
            told += 1
            if isinstance(text, str):
                self._source(index, channel, field, "text")
                pieces.append(Piece((index, channel), text))
                paths.append((field,))
            else:
                lists[field] = self._listed(index, channel, field, text, pieces, paths)
        if len(delta) > told:
            self._rest(index, delta, pieces, paths)
        clean, clean_delta = without_texts(named(choice, _FINISH), _CHOICE), cleaned(without_texts(named(delta, _ROLE), _DELTA))
        clean_delta = {**clean_delta, **lists} if lists else clean_delta
        clean = whole_answer.tidied(clean, delta, ends=choice.get("finish_reason") is not None)
        if clean is not given or clean_delta is not given.get("delta"):
            chunk = {**chunk, "choices": [{**clean, "delta": clean_delta}]}
        return ChatFrame(self, chunk, index, tuple(pieces), paths, choice.get("finish_reason") is not None)

    def _listed(self, index: int, channel: str, field: str, given: Any, pieces: list[Piece], paths: list[Path | None]) -> Any:
        """A text that comes as a list of parts, as Mistral's models write what they think; returns the list as it may go on."""
        if not isinstance(given, list):
            raise BadAnswerError(f"{field} is no text")
        for told in listed(given, channel, (field,)):
            self._source(index, told.channel, field, told.kind)
            pieces.append(Piece((index, told.channel), told.text))
            paths.append(told.path)
        return plain_parts(given)

    def _source(self, index: int, channel: str, field: str, kind: str) -> None:
        """What is checked as one text comes from one place: whoever told a text in two would have it read with the other one in between."""
        if self._sources.setdefault((index, channel), (field, kind)) != (field, kind):
            raise BadAnswerError("two fields of a reply tell one text")

    def _rest(self, index: int, delta: dict[str, Any], pieces: list[Piece], paths: list[Path | None]) -> None:
        """Tool calls and sound."""
        if delta.get("function_call") is not None:
            self._call(index, "call", delta["function_call"], "arguments", ("function_call",), pieces, paths)
        calls = delta.get("tool_calls") or ()
        if not isinstance(calls, list | tuple):
            raise BadAnswerError("tool calls are no list")
        for at, call in enumerate(calls):
            number = call.get("index", at) if isinstance(call, dict) else None
            if not isinstance(number, int) or not 0 <= number < 1024:
                raise BadAnswerError("a tool call cannot be read")
            kind = call_kind(call)
            channel = f"input:{number}" if kind == "custom" else f"tool:{number}"
            self._call(index, channel, call.get(kind) or {}, BODIES[kind], ("tool_calls", at, kind), pieces, paths)
        audio = delta.get("audio")
        if audio is not None:
            if (
                not isinstance(audio, dict)
                or without_texts(named(audio, ("id",)), _AUDIO) is not audio
                or not isinstance(audio.get("expires_at"), int | float | None)
            ):
                raise BadAnswerError("audio cannot be read")
            if audio.get("data"):
                self._audio.add(index)
                pieces.append(Piece((index, "audio"), ""))
                paths.append(None)
            if audio.get("transcript"):
                self._text(index, "transcript", audio["transcript"], ("audio", "transcript"), pieces, paths)

    def _call(self, index: int, channel: str, call: Any, field: str, path: Path, pieces: list[Piece], paths: list[Path | None]) -> None:
        if not isinstance(call, dict) or not isinstance(call.get("name"), str | None):
            raise BadAnswerError("a tool call cannot be read")
        self._names[index, channel] = self._names.get((index, channel), "") + (call.get("name") or "")
        if call.get(field):
            self._text(index, channel, call[field], (*path, field), pieces, paths)
        else:
            pieces.append(Piece((index, channel), ""))
            paths.append(None)

    @staticmethod
    def _text(index: int, channel: str, text: Any, path: Path, pieces: list[Piece], paths: list[Path | None]) -> None:
        if not isinstance(text, str):
            raise BadAnswerError(f"{path[-1]} is no text")
        pieces.append(Piece((index, channel), text))
        paths.append(path)

    def prompt(self, choice: int) -> int:
        return 0

    def whole(self, choice: int, texts: Mapping[str, str]) -> Said:
        spoken: list[Text] = [((channel,), texts[channel]) for channel in (*whole_answer.TEXTS.values(), "transcript") if texts.get(channel)]
        calls: list[tuple[Path | None, ToolCall]] = [
            ((channel,), ToolCall(name=name, arguments=texts.get(channel, ""))) for (index, channel), name in self._names.items() if index == choice
        ]
        spoken += hidden(calls)
        if self._asked.structured:
            spoken += [(None, text) for text in (undone(texts.get(channel, "")) for channel in ("content", "thinking")) if text]
        media: list[tuple[Media, str]] = [("audio", "")] if choice in self._audio else []
        gather = Gather()
        gather.message("assistant", spoken, calls, media)
        return Said(choice, 0, gather.located())

    def withhold(self, choice: int, withheld: Withheld) -> bytes:
        delta: dict[str, Any] = {} if choice in self._told else {"role": "assistant"}
        if withheld.in_content:
            delta["content"] = withheld.text
        delta["refusal"] = withheld.text
        self._told.add(choice)
        self.spent.withheld = True
        return self._chunk(choice, delta, None) + self._chunk(choice, {}, "content_filter")

    def _chunk(self, choice: int, delta: dict[str, Any], finish: str | None) -> bytes:
        chunk = {**self._shell(), "choices": [{"index": choice, "delta": delta, "logprobs": None, "finish_reason": finish}]}
        return sse.event(chunk if self.notes is None else self.notes.on_chunk(chunk, choice, ends=finish is not None, filtered=True))

    def _shell(self) -> dict[str, Any]:
        return {"id": "chatcmpl-withheld", "object": "chat.completion.chunk", "created": 0, "model": self._asked.model, **self._head}

    def fail(self, code: str, message: str) -> bytes:
        return sse.event({"error": {"message": message, "type": "server_error", "param": None, "code": code}})

    def end(self) -> bytes:
        report = self.notes.report() if self.notes is not None else None
        owed = self.spent.owed(self._shell())
        return owed + (b"" if report is None else sse.event({**self._shell(), "choices": [], "moderation": report})) + sse.DONE

    def refusal(self, withheld: Withheld, identity: str, created_unix_s: int) -> bytes:
        """A whole stream that declines."""
        self._head = {"id": f"chatcmpl-{identity}", "created": created_unix_s}
        self.spent.see(NOTHING)
        return b"".join(self.withhold(choice, withheld) for choice in range(self._asked.choices)) + self.end()
