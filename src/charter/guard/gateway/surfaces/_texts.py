"""Gathers the texts of a JSON body into one Conversation, with where each stood. What no field names is walked to its last string."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Sequence, Set
from typing import Any, Literal

from charter.core.rows import Conversation, Message, Part, ToolCall
from charter.guard.gateway.surfaces._located import Located, Path, Place
from charter.guard.gateway.surfaces._surface import BadAnswerError, BadRequestError
from charter.guard.gateway.surfaces._unread import unread
from charter.guard.gateway.surfaces._words import NAMES, VALUES

Role = Literal["system", "user", "assistant", "tool"]
Media = Literal["image", "audio", "video", "file"]
#: A text, and where it stands; None where it cannot be rewritten (a key, part of something encoded): a mask in it blocks.
Text = tuple[Path | None, str]
#: The name of a number that an answer tells.
_KEY = re.compile(r"[A-Za-z0-9_.$-]{1,40}")
#: ASCII alone: in scripts without spaces a whole sentence is one word.
_NAME = re.compile(r"[A-Za-z0-9_.:/@=+-]{1,256}")
_WORD = re.compile(r"[A-Za-z0-9_-]{1,16}")
_BLOB = re.compile(r"[A-Za-z0-9+/=_-]*")
_TOKEN_ID = re.compile(r"[0-9]{1,7}")


class Gather:
    """Builds the conversation message by message."""

    def __init__(self) -> None:
        self._messages: list[Message] = []
        self._paths: dict[Place, Path] = {}

    def message(
        self,
        role: Role,
        texts: Sequence[Text],
        calls: Sequence[tuple[Path | None, ToolCall]] = (),
        media: Sequence[tuple[Media, str]] = (),
        around: bool = False,
    ) -> None:
        """One message. A single text is its content; several, or media beside it, are its parts, media last. ``around``: texts beside the chat."""
        number = len(self._messages)
        content: str | tuple[Part, ...]
        if len(texts) > 1 or media:
            content = (*(Part(type="text", text=text) for _, text in texts), *(Part(type=kind, data=data) for kind, data in media))
            self._paths |= {(number, "part", n): path for n, (path, _) in enumerate(texts) if path is not None}
        else:
            content = texts[0][1] if texts else ""
            if texts and texts[0][0] is not None:
                self._paths[number, "content", 0] = texts[0][0]
        self._paths |= {(number, "arguments", n): path for n, (path, _) in enumerate(calls) if path is not None}
        self._messages.append(Message(role=role, content=content, tool_calls=tuple(call for _, call in calls), around=around))

    def located(self) -> Located:
        return Located(Conversation(messages=tuple(self._messages)), self._paths)


def leaves(value: Any, path: Path, field: str = "") -> Iterator[Text]:
    """Every string in ``value``, keys too, however short: a secret may be a single word, and many single words are a sentence. Only the protocol's
    own words are left out, each where it belongs (``_words``). ``field``: the key that ``value`` stands at."""
    if isinstance(value, str):
        if value and value not in VALUES.get(field, ()):
            yield path, value
    elif isinstance(value, dict):
        for key, inner in value.items():
            if key not in NAMES and not (field == "logit_bias" and _TOKEN_ID.fullmatch(key)):
                yield None, key
            yield from leaves(inner, (*path, key), key)
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            yield from leaves(inner, (*path, index), field)


def tells(value: Any, levels: int = 8) -> bool:
    """Whether a value of an answer could hold a text: any string, and any list, whose numbers may be letters or tokens. Counts and flags cannot.
    What is nested deeper than ``levels`` is no count."""
    if isinstance(value, dict):
        return not levels or any(not _KEY.fullmatch(key) or tells(inner, levels - 1) for key, inner in value.items())
    return isinstance(value, str | list) and len(value) > 0


def unknown(given: dict[str, Any], known: Set[str], path: Path) -> list[Text]:
    """The texts of keys that ``known`` does not name. Raises BadRequestError for what of them is no text and could tell one."""
    if given.keys() <= known:
        return []
    refused = unread(given, known)
    if refused is not None:
        where, why = refused
        raise BadRequestError(f"{where or 'a field'} {why}", param=where or None, code="unsupported_field")
    return [text for key in given if key not in known for text in leaves({key: given[key]}, path)]


def without_texts(given: dict[str, Any], known: Set[str]) -> dict[str, Any]:
    """``given``, of an answer, without keys that ``known`` does not name and that could hold a text; itself if there are none."""
    gone = [key for key in given if key not in known and tells({key: given[key]})]
    return {key: value for key, value in given.items() if key not in gone} if gone else given


def top(given: dict[str, Any], known: Set[str]) -> dict[str, Any]:
    """``without_texts`` of a whole answer, or of a chunk; what could hold a text inside ``usage`` is left out, and not all of it. Raises
    BadAnswerError."""
    if not isinstance(given.get("created"), int | float | None):
        raise BadAnswerError("created is no number")
    usage = given.get("usage")
    if isinstance(usage, dict) and tells(usage):
        given = {**given, "usage": without_texts(usage, frozenset())}
    return without_texts(given, known)


def name(value: Any, param: str) -> str:
    """A name of something (a model, a function, an id). Raises BadRequestError."""
    if not isinstance(value, str) or not _NAME.fullmatch(value):
        raise BadRequestError(f"{param} must be a plain name (letters, digits and _.:/@=+-, at most 256)", param=param)
    return value


def word(value: Any, param: str) -> str:
    """One of a few words that a setting is picked from: short, so that it is no sentence. Raises BadRequestError."""
    if not isinstance(value, str) or not is_word(value):
        raise BadRequestError(f"{param} must be a word of at most 16 letters", param=param)
    return value


def is_word(value: str) -> bool:
    return _WORD.fullmatch(value) is not None


def is_blob(value: str) -> bool:
    """Whether it is base64, which only its maker can read: no spaces, so no sentence."""
    return _BLOB.fullmatch(value) is not None


def is_name(value: Any) -> bool:
    """Whether a value of an answer can be no text: nothing, a number, or a plain name."""
    return value is None or isinstance(value, int | float) or (isinstance(value, str) and (not value or _NAME.fullmatch(value) is not None))


def named(given: dict[str, Any], fields: Sequence[str]) -> dict[str, Any]:
    """``given``, of an answer, if these fields are names; no rail reads them. Raises BadAnswerError."""
    for field in fields:
        if field in given and not is_name(given[field]):
            raise BadAnswerError(f"{field} is no name")
    return given


def digest(data: Any) -> str:
    """What stands for a picture or a sound in a Conversation: enough to tell two apart, short enough to hash again and again."""
    text = data if isinstance(data, str) else repr(data)
    return "sha256:" + hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def no_template(body: dict[str, Any]) -> None:
    """A template among its own arguments would change what the model makes of what the rails read. Raises BadRequestError."""
    given = as_object(body.get("chat_template_kwargs") or {}, "chat_template_kwargs")
    if given.get("chat_template") is not None:
        where = "chat_template_kwargs.chat_template"
        raise BadRequestError(f"{where} is not served here: no rail can read it", param=where, code="unsupported_field")


def as_object(value: Any, param: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise BadRequestError(f"{param} must be an object", param=param)
    return value


def as_list(value: Any, param: str) -> list[Any]:
    if not isinstance(value, list):
        raise BadRequestError(f"{param} must be a list", param=param)
    return value


def as_text(value: Any, param: str) -> str:
    if not isinstance(value, str):
        raise BadRequestError(f"{param} must be a string", param=param)
    return value


def as_flag(value: Any, param: str) -> bool:
    """A flag that may be left out or null."""
    if value is not None and not isinstance(value, bool):
        raise BadRequestError(f"{param} must be true or false", param=param)
    return bool(value)


def as_count(value: Any, param: str, default: int = 1) -> int:
    """A count of at least one that may be left out or null."""
    if value is None:
        return default
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise BadRequestError(f"{param} must be a whole number of at least 1", param=param)
    return value
