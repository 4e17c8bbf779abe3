"""Models that are given one text as it is, without a chat format: what guard models with an exact prompt of their own need.

``load_raw`` takes the specs of ``load_model``. A conversation of one user message is the text; the tokenizer adds its own first token. A URL must
offer ``/completions`` (vLLM, SGLang, llama.cpp); the scripted model reads the text like any message.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from charter.core.errors import InputError
from charter.core.rows import Conversation, Sampling
from charter.core.shapes import Model
from charter.models import embedded, load_model
from charter.models._endpoint import BASE_URL, endpoint
from charter.models._options import check_text, read_options
from charter.models._written import read_written
from charter.models.hf import Config as HfConfig
from charter.models.hf import HfModel, needs_local
from charter.models.openai import Config, OpenAIModel

if TYPE_CHECKING:
    from openai import AsyncOpenAI


def load_raw(spec: str, **options: Any) -> Model:
    """The model of ``spec`` that completes texts. Raises what ``load_model`` raises, and InputError for a backend that cannot."""
    plugin, argument, written = read_written(spec)
    settings = {**written, **options}
    if plugin == "openai":
        return RawOpenAI(endpoint(argument, os.environ.get(BASE_URL, "")), read_options("openai", Config, settings))
    if plugin == "hf":
        return RawHf(argument, config=read_options("hf", HfConfig, settings))
    if plugin == "embedded" and not argument:
        read_options("embedded", embedded.Config, settings)
        return RawHf(embedded.fetch, spec="embedded")
    if plugin == "scripted":
        return load_model(spec, **options)
    raise InputError(f"the backend {plugin!r} cannot be given a text without a chat format", "use hf:MODEL or openai:MODEL@URL")


def text_of(conversation: Conversation) -> str:
    """The one text. Raises InputError for anything but one user message of text alone."""
    check_text(conversation)
    if len(conversation.messages) != 1 or conversation.messages[0].role != "user":
        raise InputError("a text without a chat format is one user message")
    return conversation.messages[0].text


class RawHf(HfModel):
    """Local weights without their chat template."""

    @property
    def tokenizer(self) -> Any:
        if self._tokenizer is None:
            needs_local()
            from transformers import AutoTokenizer

            self._tokenizer = self._load(AutoTokenizer, padding_side="left")
            if self._tokenizer.pad_token is None:
                self._tokenizer.pad_token = self._tokenizer.eos_token
        return self._tokenizer

    def encode(self, conversation: Conversation) -> list[int]:
        return list(self.tokenizer(text_of(conversation))["input_ids"])


class RawOpenAI(OpenAIModel):
    """``/completions`` at a URL; its answers are read like those of chat completions."""

    def _body(self, conversation: Conversation, sampling: Sampling) -> dict[str, Any]:
        fields = super()._body(conversation, sampling)
        fields.pop("messages")
        fields["max_tokens"] = fields.pop("max_completion_tokens", sampling.max_tokens)
        return {**fields, "prompt": text_of(conversation).encode("utf-16", "surrogatepass").decode("utf-16", "replace")}

    async def _create(self, client: AsyncOpenAI, body: dict[str, Any]) -> tuple[Any, Mapping[str, str]]:
        body = dict(body)
        if body.pop("logprobs", False):
            body["logprobs"] = body.pop("top_logprobs")
        raw = await client.completions.with_raw_response.create(**body, extra_body=self.config.extra_body or None)
        return as_chat(json.loads(raw.http_response.text)), raw.http_response.headers


def as_chat(answer: Any) -> Any:
    """A text completion in the form of a chat completion; what has another form is left as it is."""
    choices = answer.get("choices") if isinstance(answer, dict) else None
    if not isinstance(choices, list) or not choices or not isinstance(choices[0], dict):
        return answer
    choice = choices[0]
    logprobs = choice.get("logprobs")
    top = logprobs.get("top_logprobs") if isinstance(logprobs, dict) else None
    first = top[0] if isinstance(top, list) and top and isinstance(top[0], dict) else None
    likely: list[dict[str, Any]] = [{"token": token, "logprob": value} for token, value in first.items()] if first else []
    content = [{**sorted(likely, key=_value)[-1], "top_logprobs": likely}] if likely else None
    made = {
        "finish_reason": choice.get("finish_reason"),
        "error": choice.get("error"),
        "message": {"content": choice.get("text")},
        "logprobs": {"content": content},
    }
    return {**answer, "choices": [made]}


def _value(token: dict[str, Any]) -> float:
    value = token["logprob"]
    return float(value) if isinstance(value, (int, float)) else float("-inf")
