"""``POST /v1/embeddings``: every text of a batch is a prompt of its own. Token arrays are refused: nobody here can read them."""

from __future__ import annotations

from collections.abc import Mapping, Set
from typing import Any

from charter.guard.gateway.surfaces._located import Path
from charter.guard.gateway.surfaces._reading import Builder, bits_of, read_answer
from charter.guard.gateway.surfaces._shape import Either, Many, Number, Numbers, Object, Plain, Refused, Text, contract_of
from charter.guard.gateway.surfaces._surface import Asked, BadAnswerError, BadRequestError, Codec, Dialect, Ids, Notes, Said, Withheld
from charter.guard.gateway.surfaces._unread import UNREAD

PLAIN, NUMBER = Plain(), Number()
HIDDEN = Refused("is not served here: no rail can read it")
INPUT = Either(text=Text(), items=Many(Text()))
AROUND = Object(
    model=PLAIN,
    encoding_format=PLAIN,
    dimensions=NUMBER,
    user=Text(),
    safety_identifier=Text(),
    input_type=PLAIN,
    truncate_prompt_tokens=NUMBER,
    messages=HIDDEN,
    stream=HIDDEN,
    chat_template_kwargs=Object(chat_template=HIDDEN),
    **dict.fromkeys(UNREAD, HIDDEN),
)
REQUEST = Object(**AROUND.fields, input=INPUT)
#: A vector as numbers, or as base64 of them.
VECTOR = Either(text=Plain(blob=True), items=Numbers())
ANSWER = Object(
    id=PLAIN,
    object=PLAIN,
    created=NUMBER,
    model=PLAIN,
    usage=Object(),
    data=Many(Object(object=PLAIN, index=NUMBER, embedding=VECTOR)),
)


class Embeddings:
    """See ``Surface``. It has no replies and no streams."""

    name = "embeddings"
    path = "/v1/embeddings"
    texts = "input"
    dialect: Dialect = "openai"
    request_fields = contract_of(REQUEST)
    answer_fields = contract_of(ANSWER)

    def ask(self, body: dict[str, Any]) -> Asked:
        model = body.get("model")
        if not isinstance(model, str) or not model:
            raise BadRequestError("model is required", param="model")
        around = bits_of(AROUND, {name: value for name, value in body.items() if name != "input"}, (), "")
        given = body.get("input")
        if isinstance(given, str):
            places: list[tuple[str, Path]] = [(given, ("input",))]
        elif isinstance(given, list) and given and all(isinstance(text, str) for text in given):
            places = [(text, ("input", number)) for number, text in enumerate(given)]
        else:
            raise BadRequestError("input must be text or a list of texts; tokens cannot be checked", param="input", code="unsupported_content")
        prompts = []
        for text, path in places:
            build = Builder()
            build.add("system", around, around=True)
            build.add("user", bits_of(INPUT, text, path, "input"))
            prompts.append(build.located())
        return Asked(body, model, False, tuple(prompts))

    def refuse(self, asked: Asked, withheld: Withheld, ids: Ids) -> dict[str, Any]:
        """A vector cannot decline."""
        raise BadRequestError(withheld.text, param=self.texts, code="content_filter")

    def refuse_stream(self, asked: Asked, withheld: Withheld, ids: Ids, notes: Notes | None = None) -> bytes:
        raise BadRequestError(withheld.text, param=self.texts, code="content_filter")

    def replies(self, asked: Asked, answer: dict[str, Any]) -> list[Said]:
        read_answer(ANSWER, answer)
        if not isinstance(answer.get("data"), list):
            raise BadAnswerError("the answer has no data")
        return []

    def answer(self, asked: Asked, answer: dict[str, Any], withheld: Mapping[int, Withheld], changed: Set[int]) -> dict[str, Any]:
        clean: dict[str, Any] = read_answer(ANSWER, answer)[0]
        return clean

    def codec(self, asked: Asked) -> Codec:
        raise BadRequestError("this endpoint has no streams", param="stream")


surface = Embeddings()
