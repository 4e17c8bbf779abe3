"""``POST /v1/moderations``: answered here, by the shipped classifier; no upstream is asked. Pictures are refused: it reads none."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from typing import Any

from charter.guard._workers import Workers, away
from charter.guard.gateway import moderation
from charter.guard.gateway.moderation import MOST_CHARS, MOST_TEXTS, ModerationError, Moderator
from charter.guard.gateway.surfaces._shape import Either, Many, Number, Object, Plain, Refused, Text, Union, contract_of
from charter.guard.gateway.surfaces._surface import BadRequestError, Dialect
from charter.guard.gateway.wire.errors import GatewayError

PICTURE = Refused("is a picture, which the local moderation cannot read")
PART = Union("type", {"text": Object(type=Plain(), text=Text()), "image_url": PICTURE})
REQUEST = Object(model=Plain(), input=Either(text=Text(), items=Many(Either(text=Text(), object=PART))))
#: Nothing of it is a text: it is made here.
RESULT = Object(flagged=Number(), categories=Number(), category_scores=Number(), category_applied_input_types=Plain())
ANSWER = Object(id=Plain(), model=Plain(), results=Many(RESULT))


class Moderations:
    """See ``Local``. ``make`` builds the moderator at the first request."""

    name = "moderations"
    path = "/v1/moderations"
    texts = "input"
    dialect: Dialect = "openai"
    request_fields = contract_of(REQUEST)
    answer_fields = contract_of(ANSWER)
    headers = ((b"x-moderation-not-measured", ", ".join(moderation.NOT_MEASURED).encode()),)

    def __init__(self, make: Callable[[], Moderator] = moderation.shipped) -> None:
        self._make, self._making = make, Workers("moderator", 1)

    async def respond(self, body: dict[str, Any]) -> dict[str, Any]:
        """The answer. Raises BadRequestError, and GatewayError where a text could not be scored."""
        texts = read(body)
        try:
            moderator = await away(self._making, self._make)
            results = await moderator.results(texts)
        except ModerationError as error:
            raise GatewayError(503, "moderation_failed", str(error), retry_after_s=1) from None
        except Exception as error:  # the moderator could not be built
            raise GatewayError(503, "moderation_failed", f"the moderation cannot run: {type(error).__name__}", retry=False) from None
        return {"id": f"modr-{secrets.token_hex(16)}", "model": moderator.model, "results": results}


def read(body: dict[str, Any]) -> list[str]:
    """The texts to score: one for a string, one for each of a list of strings, one for all parts of a multimodal input together."""
    given = body.get("input")
    if isinstance(given, str):
        found = [given]
    elif isinstance(given, list) and given and all(isinstance(each, str) for each in given):
        found = list(given)
    elif isinstance(given, list) and given and all(isinstance(each, dict) for each in given):
        found = ["\n".join(_text(part) for part in given)]
    else:
        raise BadRequestError("input must be text, a list of texts, or a list of parts", param="input")
    if len(found) > MOST_TEXTS:
        raise BadRequestError(f"at most {MOST_TEXTS} texts are scored in one request", param="input")
    if not all(text.strip() for text in found):
        raise BadRequestError("a text is empty, so there is nothing to score", param="input")
    if sum(map(len, found)) > MOST_CHARS:
        message = f"at most {MOST_CHARS:,} characters are scored in one request; send fewer or shorter texts"
        raise BadRequestError(message, param="input", code="request_too_large", status=413)
    return found


def _text(part: dict[str, Any]) -> str:
    text = part.get("text")
    if part.get("type") != "text" or not isinstance(text, str):
        raise BadRequestError("a part is no text: the local moderation reads only text", param="input", code="unsupported_content")
    return text


surface = Moderations()
