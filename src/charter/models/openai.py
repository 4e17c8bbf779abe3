"""Any model behind an OpenAI-compatible chat-completions URL: OpenAI, vLLM, SGLang, llama.cpp, Ollama and gateways.

``openai:MODEL@URL``; without a URL, $OPENAI_BASE_URL, else OpenAI's own. The key comes from an environment variable and is never written
anywhere: OPENAI_API_KEY goes to api.openai.com and to $OPENAI_BASE_URL alone, any other server is sent the one that ``api_key_env`` names, or none.
"""

from __future__ import annotations

import asyncio
import json
import os
import time
from collections.abc import Coroutine, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, Literal, TypeVar
from urllib.parse import urlsplit

from pydantic import Field, JsonValue, model_validator

from charter.core.config import Config as BaseConfig
from charter.core.errors import InputError, ModelError, NoModelError
from charter.core.rows import Conversation, Reply, Sampling, content_id
from charter.core.seeds import stream
from charter.core.shapes import Model
from charter.models._budget import Budget
from charter.models._completion import Answer, error_inside, first_tokens, option_logprobs, read_reply, read_usage, wire_messages
from charter.models._endpoint import BASE_URL, OFFICIAL, Endpoint, endpoint
from charter.models._line import Keep, Line, as_reply
from charter.models._options import check_choices, read_options
from charter.models._trouble import Trouble, connection_trouble, inside_trouble, shut_trouble, status_trouble, timeout_trouble

if TYPE_CHECKING:
    from openai import AsyncOpenAI

NOT_COVERED = (
    "Chat completions only; text and images out, text back: a reply with tool calls is an error. Servers may ignore the seed. "
    "A key sent over plain http can be read on the way."
)
GROUP = 64
CONNECT_S = 10.0
#: Settings that change when and at what price it is asked, and no answer.
ASIDE = frozenset({"concurrency", "timeout_s", "retries", "backoff_s", "retry_after_max_s", "budget_requests", "budget_tokens", "budget_cost",
                   "price_in", "price_out", "api_key_env", "token_field"})  # fmt: skip
T = TypeVar("T")


class Config(BaseConfig):
    """Times in seconds; budgets hold for the life of the model object."""

    concurrency: int = Field(default=8, ge=1, le=GROUP, description="requests under way at once")
    timeout_s: float = Field(default=60.0, gt=0, description="for one request, from sending to the last byte")
    retries: int = Field(default=4, ge=0, description="tries after the first, for 408, 409, 425, 429, 5xx, time-outs and broken connections")
    backoff_s: float = Field(default=0.5, ge=0, description="wait before the first retry; doubles each time, 30 s at most")
    retry_after_max_s: float = Field(default=120.0, ge=0, description="a server that asks for a longer wait is asked nothing more until then")
    budget_requests: int | None = Field(default=None, ge=0)
    budget_tokens: int | None = Field(default=None, ge=0, description="tokens in and out, over all requests")
    budget_cost: float | None = Field(default=None, ge=0)
    price_in: float | None = Field(default=None, ge=0, description="per million tokens")
    price_out: float | None = Field(default=None, ge=0, description="per million tokens")
    api_key_env: str = Field(
        default="",
        pattern=r"^([A-Za-z_][A-Za-z0-9_]*)?$",
        description="environment variable that holds the key; '' = OPENAI_API_KEY for OpenAI and $OPENAI_BASE_URL, none for other servers",
    )
    token_field: Literal["", "max_tokens", "max_completion_tokens"] = Field(default="", description="'' = what the URL is known to want")
    leave_out: tuple[str, ...] = Field(default=(), description="request fields that the server refuses, such as temperature, seed")
    extra_body: dict[str, JsonValue] = Field(default_factory=dict, description="further request fields")
    top_logprobs: int = Field(default=20, ge=2, description="for score(); some servers allow fewer")

    @model_validator(mode="after")
    def _priced(self) -> Config:
        if self.budget_cost is not None and (self.price_in is None or self.price_out is None):
            raise ValueError("budget_cost needs price_in and price_out")
        return self


def build(argument: str, **options: Any) -> Model:
    """``argument``: MODEL or MODEL@URL; options: the fields of ``Config``. Raises InputError, and ModelError where a key is needed and missing."""
    return OpenAIModel(endpoint(argument, os.environ.get(BASE_URL, "")), read_options("openai", Config, options))


class OpenAIModel:
    """A model at a URL. Not for two threads at once."""

    def __init__(self, where: Endpoint, config: Config) -> None:
        self.where = where
        self.config = config
        told = {key: value for key, value in config.model_dump(mode="json", exclude_defaults=True).items() if key not in ASIDE}
        self.spec = where.spec + (f"+{content_id(told)[:8]}" if told else "")  # another setting may be another answer: no verdict is kept as its own
        self._key_env = config.api_key_env or where.key_variable
        self.budget = Budget(config.budget_requests, config.budget_tokens, config.budget_cost, config.price_in or 0.0, config.price_out or 0.0)
        self._reached = self._answered = False
        self._pause = (0.0, Trouble(""))  # until when (time.monotonic), and why, nothing is sent
        self._shut: bool | None = None  # see _is_shut; None: not known yet
        self._key()

    def batches(self, conversations: Sequence[Conversation], sampling: Sampling) -> list[list[int]]:
        """Groups of 64 in order."""
        return [list(range(at, min(at + GROUP, len(conversations)))) for at in range(0, len(conversations), GROUP)]

    def reply(self, conversations: Sequence[Conversation], sampling: Sampling) -> list[Reply]:
        """See ``Model.reply``. Raises ModelError if no request brought an answer and the server, the key or the model's name is why."""
        return _run(self._reply_all(list(conversations), sampling)) if conversations else []

    def reply_each(self, conversations: Sequence[Conversation], sampling: Sampling, keep: Keep) -> None:
        """``reply``, with every reply handed to ``keep`` (its index, the reply) as soon as it and all before it are there: a killed run loses little
        more than what was under way. Raises what ``reply`` and ``keep`` raise."""
        if conversations:
            _run(self._reply_all(list(conversations), sampling, keep))

    def score(self, conversation: Conversation, options: Sequence[str]) -> list[float]:
        """See ``Model.score``: read from the ``top_logprobs`` likeliest first tokens; -inf for an option that is not among them.

        Raises ModelError without an answer or without log-probabilities, InputError if options begin with the same token or have several words:
        the likelihood of their first tokens is not theirs.
        """
        check_choices(options)
        texts = [option.strip() for option in options]
        if any(a != b and a.startswith(b) for a in texts for b in texts):
            raise InputError(f"the options {texts!r} cannot be told apart by their first token; use 'A' and 'B'")
        if any(len(text.split()) > 1 for text in texts):
            raise InputError(
                "a chat server tells the likelihood of first tokens, so options of several words cannot be weighed",
                "use hf:MODEL, or the letters form of the benchmark",
            )
        extra = {"logprobs": True, "top_logprobs": self.config.top_logprobs}
        answer = _run(self._score_one({**self._body(conversation, Sampling(max_tokens=1)), **extra}))
        tokens = first_tokens(answer)
        if tokens is None:
            raise ModelError(f"{self.spec}: the server gave no log-probabilities", "use hf:MODEL, or a server that gives them (vLLM, SGLang)")
        return option_logprobs(tokens, options)

    async def _reply_all(self, conversations: list[Conversation], sampling: Sampling, keep: Keep | None = None) -> list[Reply]:
        gate, stop, line = asyncio.Semaphore(self.config.concurrency), list[Trouble](), Line(keep)

        async def one(index: int, client: AsyncOpenAI) -> Reply | Trouble:
            async with gate:
                try:
                    body = self._body(conversations[index], sampling)
                except InputError as error:
                    return line.put(index, Trouble(error.message))
                answer = await self._ask(client, body, stop, index)
                return line.put(index, answer if isinstance(answer, Trouble) else read_reply(answer, sampling.max_tokens))

        async with self._client() as client:
            found = await asyncio.gather(*(one(index, client) for index in range(len(conversations))))
            if stop and not any(isinstance(item, Reply) for item in found):
                raise await self._fatal(client, stop[0])
        line.close()
        return [as_reply(item) for item in found]

    async def _score_one(self, body: dict[str, Any]) -> dict[str, Any]:
        async with self._client() as client:
            answer = await self._ask(client, body, [], 0)
            if not isinstance(answer, Trouble):
                return answer.body
            if answer.fatal:
                raise await self._fatal(client, answer)
        fewer = "use a server with log-probabilities of 20 tokens (vLLM, SGLang); or fewer: openai: {model: ..., top_logprobs: 5}"
        hint = fewer if answer.status in (400, 422) else answer.hint
        raise ModelError(f"{self.spec}: {answer.text}", hint)

    async def _ask(self, client: AsyncOpenAI, body: dict[str, Any], stop: list[Trouble], index: int) -> Answer | Trouble:
        """Send until there is an answer or no hope. ``stop`` is shared by a group: one fatal trouble spares the rest their tries."""
        jitter = stream(index, "backoff")
        for attempt in range(self.config.retries + 1):
            if stop:
                return stop[0]
            until, why = self._pause
            if time.monotonic() < until:
                return why if attempt else why._replace(text=f"not sent: {why.text}")
            refused = self.budget.take()
            if refused:
                return Trouble(refused, "raise the budget and run it again", fatal=True)
            answer = await self._send(client, body)
            if isinstance(answer, Answer):
                return answer
            if answer.status == 403 and await self._is_shut(client):
                answer = shut_trouble(answer, self.where, self._key_env)
            trouble, wait = answer, answer.wait_s or 0.0
            if trouble.retry and wait > self.config.retry_after_max_s:
                trouble = trouble._replace(text=f"{trouble.text}; it asks for a wait of {wait:.0f} s", retry=False)
                self._pause = (time.monotonic() + wait, trouble)
            # a server that was never there is a mistake in the URL: no use to wait for it
            if not trouble.retry or attempt == self.config.retries or (trouble.fatal and not self._reached):
                break
            backoff = min(30.0, self.config.backoff_s * 2**attempt) * jitter.uniform(0.75, 1.0)
            await asyncio.sleep(max(backoff, wait))
        if trouble.fatal:
            stop.append(trouble)
        return trouble._replace(text=trouble.text + (f" ({attempt + 1} tries)" if attempt else ""))

    async def _send(self, client: AsyncOpenAI, body: dict[str, Any]) -> Answer | Trouble:
        import openai

        try:
            async with asyncio.timeout(self.config.timeout_s):
                answer, headers = await self._create(client, body)
        except (TimeoutError, openai.APITimeoutError) as error:
            return timeout_trouble(error, self.where.url, self.config.timeout_s)
        except openai.APIConnectionError as error:
            return connection_trouble(error, self.where.url)
        except openai.APIStatusError as error:
            self._reached = True
            return status_trouble(error.status_code, error.response.headers, error.body, self.where, self._key_env, self._key())
        except (ValueError, RecursionError, openai.APIResponseValidationError):
            answer, headers = None, {}
        self._reached = True
        if not isinstance(answer, dict):
            return Trouble("the answer is not a JSON object", f"curl {self.where.url}/models", retry=True)
        usage = read_usage(answer, len(json.dumps(body).encode()))
        self.budget.spend(usage.tokens_in, usage.tokens_out)
        inside = error_inside(answer)
        if inside is not None:
            return inside_trouble(inside, bool(answer.get("choices")), headers, self.where, self._key_env, self._key())
        self._answered = True
        return Answer(answer, usage)

    async def _is_shut(self, client: AsyncOpenAI) -> bool:
        """Whether a 403 is meant for all requests and not for one prompt: nothing was ever answered, and the list of models is refused as well."""
        import openai

        if self._answered:
            return False
        if self._shut is None:
            try:
                async with asyncio.timeout(min(10.0, self.config.timeout_s)):
                    await client.models.with_raw_response.list()
                self._shut = False
            except openai.APIStatusError as error:
                self._shut = error.status_code in (401, 403)
            except (openai.OpenAIError, TimeoutError, ValueError):
                self._shut = False
        return self._shut

    async def _create(self, client: AsyncOpenAI, body: dict[str, Any]) -> tuple[Any, Mapping[str, str]]:
        """The one call: what the server sent and its headers, read by us and not by the SDK, which lets answers of a wrong form through."""
        raw = await client.chat.completions.with_raw_response.create(**body, extra_body=self.config.extra_body or None)
        return json.loads(raw.http_response.text), raw.http_response.headers

    async def _fatal(self, client: AsyncOpenAI, trouble: Trouble) -> NoModelError:
        """The error to raise; for a model that is not there, with the names of those that are."""
        if trouble.status != 404:
            return NoModelError(f"{self.spec}: {trouble.text}", trouble.hint)
        import openai

        try:
            async with asyncio.timeout(min(10.0, self.config.timeout_s)):
                raw = await client.models.with_raw_response.list()
            names = [str(item["id"]) for item in json.loads(raw.http_response.text)["data"]]
        except (openai.OpenAIError, TimeoutError, ValueError, LookupError, TypeError):
            path = "" if urlsplit(self.where.url).path else f"openai:{self.where.name}@{self.where.url}/v1"
            return NoModelError(f"{self.spec}: no chat completions at this URL (HTTP 404)", path or trouble.hint)
        if self.where.name in names:
            return NoModelError(f"{self.spec}: the server lists this model and has no chat completions for it (HTTP 404)", trouble.hint)
        shown = ", ".join(repr(name[:80]) for name in names[:10]) + (f" and {len(names) - 10} more" if len(names) > 10 else "")
        return NoModelError(f"{self.spec}: the server has no model {self.where.name!r}; it has: {shown or 'none'}", trouble.hint)

    def _body(self, conversation: Conversation, sampling: Sampling) -> dict[str, Any]:
        token_field = self.config.token_field or ("max_completion_tokens" if self.where.url == OFFICIAL else "max_tokens")
        fields: dict[str, Any] = {"model": self.where.name, "messages": wire_messages(conversation), token_field: sampling.max_tokens}
        fields |= {"temperature": sampling.temperature, "seed": sampling.seed}
        if sampling.top_p < 1.0:
            fields["top_p"] = sampling.top_p
        return {name: value for name, value in fields.items() if name not in self.config.leave_out}

    def _client(self) -> AsyncOpenAI:
        from openai import AsyncOpenAI, Timeout

        limit = Timeout(self.config.timeout_s, connect=min(CONNECT_S, self.config.timeout_s))
        # retries are ours, so that budgets see every request
        client = AsyncOpenAI(api_key=self._key() or "none", base_url=self.where.url, max_retries=0, timeout=limit)
        self.where.strip(client)
        return client

    def _key(self) -> str:
        """Read when needed and kept nowhere; '' for a server that is sent none."""
        name = self._key_env
        key = os.environ.get(name, "").strip() if name else ""
        if not key and (self.where.is_openai or self.config.api_key_env):
            raise NoModelError(f"{self.spec}: no key: the environment variable {name} is empty", f"export {name}=...")
        if not all("!" <= letter <= "~" for letter in key):
            raise NoModelError(f"{self.spec}: the key in {name} holds blanks or other characters that no key has", f"export {name}=...")
        return key


def _run(work: Coroutine[Any, Any, T]) -> T:
    """The one bridge from async: also from inside a running loop, as in a notebook."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return asyncio.run(work)
    with ThreadPoolExecutor(max_workers=1) as pool:
        return pool.submit(asyncio.run, work).result()
