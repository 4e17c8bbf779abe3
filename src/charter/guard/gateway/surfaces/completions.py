"""``/v1/completions``: text that is gone on with. Old, but a way in like any other. Token arrays are refused: nobody here can read them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from typing import Any

from charter.guard.gateway.surfaces._located import Located, Path, put
from charter.guard.gateway.surfaces._reading import undone
from charter.guard.gateway.surfaces._stream import NOTHING, Spent, chunk_of, going_on
from charter.guard.gateway.surfaces._surface import (
    Asked,
    BadAnswerError,
    BadRequestError,
    Codec,
    Contract,
    Dialect,
    Frame,
    Ids,
    Notes,
    Piece,
    Said,
    Withheld,
)
from charter.guard.gateway.surfaces._texts import Gather, Text, as_count, as_flag, as_list, name, no_template, top, unknown, without_texts
from charter.guard.gateway.surfaces._tidy import alternatives, numbers, spells, tidy
from charter.guard.gateway.surfaces._unread import HOSTED, UNREAD, is_set
from charter.guard.gateway.wire import sse

_OPAQUE = (
    "best_of", "echo", "frequency_penalty", "logit_bias", "logprobs", "max_tokens", "n", "presence_penalty", "seed", "stream", "stream_options",
    "temperature", "top_p",
)  # fmt: skip
_REFUSED = (*UNREAD, "messages")
_KNOWN = frozenset({"model", "prompt", "suffix"})
_TOP = frozenset({"id", "object", "created", "model", "choices", "system_fingerprint"})
_CHOICE = frozenset({"index", "finish_reason", "text", "logprobs"})
_STRUCTURED = ("guided_json", "guided_grammar", "guided_regex", "guided_choice", "structured_outputs", "grammar", "json_schema", "response_format")


class Completions:
    """See ``Surface``."""

    name = "completions"
    path = "/v1/completions"
    texts = "prompt"
    dialect: Dialect = "openai"
    request_fields: Mapping[str, Contract] = {
        **dict.fromkeys(_OPAQUE, "opaque"),
        **dict.fromkeys((*_REFUSED, *HOSTED), "refused"),
        "chat_template_kwargs.chat_template": "refused",
        "model": "constrained",
        "prompt": "guarded",
        "suffix": "guarded",
        "stop": "guarded",
        "user": "guarded",
    }
    answer_fields: Mapping[str, Contract] = {
        **dict.fromkeys(("id", "object", "model", "system_fingerprint"), "constrained"),
        **dict.fromkeys(("created", "usage"), "opaque"),
        "choices.index": "opaque",
        "choices.finish_reason": "constrained",
        "choices.text": "guarded",
        "choices.logprobs": "guarded",
    }

    def ask(self, body: dict[str, Any]) -> Asked:
        for field in _REFUSED:
            if body.get(field) is not None:
                raise BadRequestError(f"{field} is not served here: no rail can read it", param=field, code="unsupported_field")
        for field in HOSTED:
            if is_set(body.get(field)):
                raise BadRequestError(f"{field} is not served here: what it makes run upstream no rail reads", param=field, code="unsupported_field")
        no_template(body)
        given = body.get("prompt")
        several = isinstance(given, list)
        prompts = as_list(given, "prompt") if several else [given]
        if not prompts or not all(isinstance(prompt, str) for prompt in prompts):
            raise BadRequestError("prompt must be a text or a list of texts: tokens cannot be checked", param="prompt", code="unsupported_content")
        suffix = body.get("suffix")
        if not isinstance(suffix, str | None):
            raise BadRequestError("suffix must be a string", param="suffix")
        around = unknown(body, _KNOWN, ())
        located = []
        for number, prompt in enumerate(prompts):
            path: Path = ("prompt", number) if several else ("prompt",)
            texts: list[Text] = [(path, prompt)]
            if suffix:  # read with every prompt; with several, a mask in it would be put in several times, so it has no place then
                texts.append((None if several else ("suffix",), suffix))
            gather = Gather()
            if around:
                gather.message("system", [(None if several else where, text) for where, text in around], around=True)
            gather.message("user", texts)
            located.append(gather.located())
        return Asked(
            body=body,
            model=name(body.get("model"), "model"),
            stream=as_flag(body.get("stream"), "stream"),
            prompts=tuple(located),
            choices=as_count(body.get("n"), "n"),
            structured=any(body.get(field) is not None for field in _STRUCTURED),
        )

    def refuse(self, asked: Asked, withheld: Withheld, ids: Ids) -> dict[str, Any]:
        choices = [_refused(index, withheld) for index in range(asked.choices * len(asked.prompts))]
        head = {"id": f"cmpl-{ids.decision_id}", "object": "text_completion", "created": ids.created_unix_s, "model": asked.model}
        return {**head, "choices": choices, "usage": NOTHING}

    def refuse_stream(self, asked: Asked, withheld: Withheld, ids: Ids, notes: Notes | None = None) -> bytes:
        codec = CompletionsCodec(asked)
        codec.spent.see(NOTHING)
        codec.head = {"id": f"cmpl-{ids.decision_id}", "created": ids.created_unix_s}
        return b"".join(codec.withhold(index, withheld) for index in range(codec.most)) + codec.end()

    def replies(self, asked: Asked, answer: dict[str, Any]) -> list[Said]:
        choices = answer.get("choices")
        if not isinstance(choices, list) or not choices:
            raise BadAnswerError("no choices")
        found = [_said(asked, position, choice) for position, choice in enumerate(choices)]
        if len({said.choice for said in found}) != len(found):
            raise BadAnswerError("two choices have one index")
        return found

    def answer(self, asked: Asked, answer: dict[str, Any], withheld: Mapping[int, Withheld], changed: Set[int]) -> dict[str, Any]:
        choices = []
        for position, choice in enumerate(answer["choices"]):
            index = choice.get("index", position)
            kept = _tidied(choice, True)
            unchanged = index not in changed
            choices.append(_refused(index, withheld[index]) if index in withheld else kept if unchanged else _without_echoes(kept))
        return {**_head(answer), "choices": choices}

    def codec(self, asked: Asked) -> Codec:
        return CompletionsCodec(asked)


def _refused(index: int, withheld: Withheld) -> dict[str, Any]:
    """This API knows no refusal, so its words stand where the text would."""
    return {"index": index, "text": withheld.text, "finish_reason": "content_filter", "logprobs": None}


def _head(given: dict[str, Any], seen: set[Any] | None = None) -> dict[str, Any]:
    """An answer, or a chunk of one, whose names are plain."""
    return tidy(top(given, _TOP), ("id", "object", "model", "system_fingerprint"), seen)


def _tidied(given: dict[str, Any], ends: bool) -> dict[str, Any]:
    """A choice whose log probabilities are those of its text, or gone. ``ends``: nothing of the text comes after it."""
    choice = tidy(without_texts(given, _CHOICE), ("finish_reason",))
    told = choice.get("logprobs")
    return choice if told is None else {**choice, "logprobs": _spelt(told, str(choice.get("text") or ""), ends)}


def _spelt(given: Any, text: str, ends: bool) -> dict[str, Any] | None:
    if not isinstance(given, dict) or not spells(given.get("tokens"), text, ends):
        return None
    spelt = given["tokens"]
    told = {name: numbers(given.get(name))[: len(spelt)] for name in ("token_logprobs", "text_offset")}
    return {"tokens": spelt, **told, "top_logprobs": alternatives(given.get("top_logprobs"), len(spelt))}


def _without_echoes(choice: dict[str, Any]) -> dict[str, Any]:
    return {key: None if key == "logprobs" else value for key, value in choice.items()}


def _prompt(asked: Asked, choice: Any) -> int:
    if not isinstance(choice, int) or isinstance(choice, bool) or not 0 <= choice < asked.choices * len(asked.prompts):
        raise BadAnswerError("a choice that was not asked for")
    return choice // asked.choices


def _said(asked: Asked, position: int, choice: Any) -> Said:
    if not isinstance(choice, dict) or not isinstance(choice.get("text"), str):
        raise BadAnswerError("a choice without a text")
    index = choice.get("index", position)
    return Said(index, _prompt(asked, index), _spoken(asked, ("choices", position, "text"), choice["text"]))


def _spoken(asked: Asked, path: Path, text: str) -> Located:
    """A reply; a structured one, which is JSON source, without its escapes too."""
    texts: list[Text] = [(path, text)]
    if asked.structured and (plain := undone(text)):
        texts.append((None, plain))
    gather = Gather()
    gather.message("assistant", texts)
    return gather.located()


class CompletionsFrame:
    """One choice of one chunk."""

    __slots__ = ("_chunk", "_spent", "choice", "ends", "pieces")

    def __init__(self, spent: Spent, chunk: dict[str, Any], choice: int | None, pieces: tuple[Piece, ...], ends: bool) -> None:
        self._spent, self._chunk, self.choice, self.pieces, self.ends = spent, chunk, choice, pieces, ends

    def emit(self, texts: Sequence[str]) -> bytes:
        if self.choice is None:
            self._spent.told = self._spent.told or self._chunk.get("usage") is not None
        if not self.pieces or texts[0] == self.pieces[0].text:
            return sse.event(self._chunk)
        if not texts[0] and not self.ends:
            return b""
        chunk = put(self._chunk, ("choices", 0, "text"), texts[0])
        return sse.event({**chunk, "choices": [_without_echoes(chunk["choices"][0])]})


class CompletionsCodec:
    """See ``Codec``."""

    def __init__(self, asked: Asked) -> None:
        self.ended = False
        self.head: dict[str, Any] = {}
        self.most = asked.choices * len(asked.prompts)
        self.spent = Spent(asked)
        self._asked = asked
        self._seen: set[Any] = set()

    @property
    def answer_id(self) -> object:
        return self.head.get("id")

    def read(self, event: str, data: bytes) -> Sequence[Frame]:
        chunk = chunk_of(event, data)
        if chunk is None:
            self.ended = True
            return ()
        chunk = _head(chunk, self._seen)
        self.spent.see(chunk.get("usage"))
        self.head = self.head or {key: chunk[key] for key in ("id", "created", "model", "system_fingerprint") if key in chunk}
        choices = chunk.get("choices")
        if not choices:
            return (CompletionsFrame(self.spent, {**chunk, "choices": []}, None, (), False),)
        if not isinstance(choices, list):
            raise BadAnswerError("choices are no list")
        return [self._frame(chunk, choice) for choice in choices]

    def _frame(self, chunk: dict[str, Any], choice: Any) -> CompletionsFrame:
        if not isinstance(choice, dict) or not isinstance(choice.get("text", ""), str):
            raise BadAnswerError("a choice cannot be read")
        choice = going_on(choice)
        index = choice.get("index", 0)
        _prompt(self._asked, index)
        text = choice.get("text", "")
        pieces = (Piece((index, "content"), text),) if text else ()
        ends = choice.get("finish_reason") is not None
        return CompletionsFrame(self.spent, {**chunk, "choices": [_tidied(choice, ends)]}, index, pieces, ends)

    def prompt(self, choice: int) -> int:
        return _prompt(self._asked, choice)

    def whole(self, choice: int, texts: Mapping[str, str]) -> Said:
        return Said(choice, self.prompt(choice), _spoken(self._asked, ("content",), texts.get("content", "")))

    def withhold(self, choice: int, withheld: Withheld) -> bytes:
        self.spent.withheld = True
        return sse.event({**self._shell(), "choices": [_refused(choice, withheld)]})

    def _shell(self) -> dict[str, Any]:
        return {"id": "cmpl-withheld", "object": "text_completion", "created": 0, "model": self._asked.model, **self.head}

    def fail(self, code: str, message: str) -> bytes:
        return sse.event({"error": {"message": message, "type": "server_error", "param": None, "code": code}})

    def end(self) -> bytes:
        return self.spent.owed(self._shell()) + sse.DONE


surface = Completions()
