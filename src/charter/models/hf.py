"""Local models through transformers: a hub id, a folder, or a GGUF file.

Prompts are sorted by length, so that a batch holds little padding, and what all prompts of a batch begin with (system message, few-shot examples)
is computed once per batch. CUDA if there is a GPU; on a CPU bf16 where the processor has it, else float32.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from pydantic import Field

from charter.core.config import Config as BaseConfig
from charter.core.errors import InputError, MissingPartError, ModelError, NoModelError
from charter.core.installing import install
from charter.core.rows import Conversation, Message, Reply, Sampling, content_id
from charter.core.seeds import derive
from charter.models._device import placement
from charter.models._options import check_text, read_options

NOT_COVERED = "Text only; never runs code that comes with a model (trust_remote_code stays off); one process, one device."

#: Settings that change how fast it answers.
ASIDE = frozenset({"max_batch", "max_batch_tokens"})
#: Tokens; tokenizers that know no limit say 1e30.
NO_LIMIT = 2**31


class Config(BaseConfig):
    """How a local model is run."""

    max_batch: int = Field(default=64, ge=1, description="prompts that are answered together")
    max_batch_tokens: int = Field(default=16384, ge=1, description="tokens of prompts and replies that are held together")


def build(argument: str, **options: Any) -> HfModel:
    """``argument``: hub id, folder or GGUF file; options: the fields of ``Config``. Raises InputError for a wrong one, ModelError when it is first
    used and cannot be loaded."""
    return HfModel(argument, config=read_options("hf", Config, options))


def needs_local() -> None:
    """Raise MissingPartError with the install command unless torch and transformers are installed."""
    for name in ("torch", "transformers"):
        if importlib.util.find_spec(name) is None:
            raise MissingPartError(f"local models need {name}, which is not installed", install("local"))


class HfModel:
    """A model in this process. Nothing is loaded before the first question."""

    def __init__(self, where: str | Path | Callable[[], Path], *, spec: str = "", config: Config | None = None, revision: str = "") -> None:
        self._where = where
        self._revision = revision or None
        self.spec = spec or f"hf:{where}"
        self.config = config or Config()
        self._tokenizer: Any = None
        self._network: Any = None

    @property
    def tokenizer(self) -> Any:
        if self._tokenizer is None:
            needs_local()
            from transformers import AutoTokenizer

            self._tokenizer = self._load(AutoTokenizer, padding_side="left")
            if self._tokenizer.pad_token is None:
                self._tokenizer.pad_token = self._tokenizer.eos_token
        return self._tokenizer

    @property
    def network(self) -> Any:
        if self._network is None:
            needs_local()
            import torch
            from transformers import AutoModelForCausalLM

            place = placement()
            self._network = self._load(AutoModelForCausalLM, dtype=getattr(torch, place.dtype)).to(place.device).eval()
        return self._network

    def _load(self, auto: Any, **options: Any) -> Any:
        from transformers.utils import logging

        logging.disable_progress_bar()
        where = self.weights()
        if where.endswith(".gguf"):
            options["gguf_file"], where = Path(where).name, str(Path(where).parent)
        try:
            return auto.from_pretrained(where, revision=self._revision or "main", trust_remote_code=False, **options)
        except (OSError, ValueError, ImportError, KeyError) as error:
            raise _load_error(self.spec, where, error) from None

    def weights(self) -> str:
        """Folder, file or hub id that the weights are loaded from; fetches the embedded model if need be."""
        return str(self._where() if callable(self._where) else self._where)

    @property
    def context(self) -> int:
        """Tokens of prompt and reply together: by the configuration (that of the text model, where images come in too), else by the tokenizer; where
        neither tells, ``NO_LIMIT``."""
        text = self.network.config.get_text_config(decoder=True)
        told = (getattr(text, "max_position_embeddings", None), self.tokenizer.model_max_length)
        return next((int(length) for length in told if length and 0 < length < NO_LIMIT), NO_LIMIT)

    def encode(self, conversation: Conversation) -> list[int]:
        """Token ids of the conversation in the model's chat format, ready for the assistant to speak; of plain text, its own after the token that
        begins a text. Raises ModelError for a chat where the model has no chat template, InputError for what is no text, or what the template leaves
        out."""
        if conversation.is_plain:
            return self.encode_plain(conversation.reply or "")
        check_text(conversation)
        if not self.tokenizer.chat_template:
            raise NoModelError(f"{self.spec}: has no chat template, so conversations cannot be put to it", "use an instruction-tuned model")
        return list(self.tokenizer(self._written(conversation), add_special_tokens=False)["input_ids"])

    def _written(self, conversation: Conversation) -> str:
        """The conversation as the template writes it. Templates of models that see pictures, and that of Llama Guard 3-1B, look for a message's text
        in a list of parts and pass over plain text without a word: what a guard would then judge is nothing."""
        why = ""
        for content in (str, _part):
            chat = [{"role": m.role, "content": content(m.text)} for m in conversation.messages]
            try:
                text: str = self.tokenizer.apply_chat_template(chat, add_generation_prompt=True, tokenize=False)
            except Exception as error:  # templates break on a form that they do not know in any way, and refuse some conversations
                why = why or f"refuses the conversation: {str(error)[:160]}"
                continue
            if _holds(text, conversation.messages[-1]):
                return text
            why = why or "leaves out what the last message says"
        raise InputError(f"{self.spec}: its chat template {why}", "use another model, or another chat template")

    def encode_plain(self, text: str) -> list[int]:
        """Token ids of ``text`` after the token that begins a text: the tokenizer's bos, else its eos, as lm-evaluation-harness does."""
        start = self.tokenizer.bos_token_id if self.tokenizer.bos_token_id is not None else self.tokenizer.eos_token_id
        if start is None:
            raise ModelError(f"{self.spec}: its tokenizer has no token that begins a text, so plain text cannot be weighed", "use another model")
        return [int(start), *self.tokenizer(text, add_special_tokens=False)["input_ids"]]

    def batches(self, conversations: Sequence[Conversation], sampling: Sampling) -> list[list[int]]:
        """Longest first within limits of rows and of padded tokens; depends on the conversations alone."""
        lengths = [0 if isinstance(p, InputError) else len(p) for p in self._prompts(conversations)]
        order = sorted(range(len(lengths)), key=lambda i: (-lengths[i], i))
        groups: list[list[int]] = []
        for i in order:
            group = groups[-1] if groups else []
            width = lengths[group[0]] + sampling.max_tokens if group else 0
            if group and len(group) < self.config.max_batch and width * (len(group) + 1) <= self.config.max_batch_tokens:
                group.append(i)
            else:
                groups.append([i])
        return groups

    def _prompts(self, conversations: Sequence[Conversation]) -> list[list[int] | InputError]:
        """Token ids of each conversation, or why it cannot be put to the model."""
        found: list[list[int] | InputError] = []
        for conversation in conversations:
            try:
                found.append(self.encode(conversation))
            except InputError as error:
                found.append(error)
        return found

    def reply(self, conversations: Sequence[Conversation], sampling: Sampling) -> list[Reply]:
        from charter.models._generate import generate

        room = self.context - sampling.max_tokens
        prompts: dict[int, list[int]] = {}
        replies: list[Reply] = []
        for i, prompt in enumerate(self._prompts(conversations)):
            if isinstance(prompt, InputError):
                replies.append(Reply(text="", finish="error", error=prompt.message))
                continue
            why = f"prompt of {len(prompt)} tokens and {sampling.max_tokens} to write exceed the context of {self.context}"
            replies.append(Reply(text="", finish="error", tokens_in=len(prompt), error=why))
            if len(prompt) <= room:
                prompts[i] = prompt
        fits = list(prompts)
        if fits:
            seed = derive(sampling.seed, *[content_id(conversations[i].model_dump(mode="json")) for i in fits])
            for i, made in zip(fits, generate(self, [prompts[i] for i in fits], sampling, seed), strict=True):
                replies[i] = made
        return replies

    def score(self, conversation: Conversation, options: Sequence[str]) -> list[float]:
        """See ``Model.score``: sums over all tokens of an option. Raises ModelError for an option that does not fit the context, InputError for what
        is no text."""
        from charter.models._likelihood import logprobs

        prompt = self.encode(conversation)
        if conversation.is_plain:
            # cut where the tokens of text and option part: a tokenizer may join the end of the one with the beginning of the other
            text = conversation.reply or ""
            whole = [self.encode_plain(text + option) for option in options]
            shared = min((common(prompt, row) for row in whole), default=0)
            return logprobs(self, prompt[:shared], [row[shared:] for row in whole])
        return logprobs(self, prompt, [list(self.tokenizer(option, add_special_tokens=False)["input_ids"]) for option in options])


def _part(text: str) -> list[dict[str, str]]:
    return [{"type": "text", "text": text}]


def _holds(written: str, last: Message) -> bool:
    """Whether a template wrote out the last message. Of a reply some leave out the thoughts, which is as it should be."""
    said = last.text.rpartition("</think>")[2] if last.role == "assistant" else last.text
    return said.strip() in written


def common(a: Sequence[int], b: Sequence[int]) -> int:
    """How many items two sequences have in common from the beginning."""
    return next((n for n, (x, y) in enumerate(zip(a, b, strict=False)) if x != y), min(len(a), len(b)))


def _load_error(spec: str, where: str, error: Exception) -> NoModelError:
    if Path(where).is_dir():
        return NoModelError(f"{spec}: {where} is not a model that transformers can load ({str(error).splitlines()[0][:160]})", f"ls {where}")
    if Path(where).exists():
        return NoModelError(f"{spec}: {where} cannot be read as a model ({type(error).__name__})", "charter doctor")
    first = str(error).strip().splitlines()[0][:160] if str(error).strip() else type(error).__name__
    return NoModelError(
        f"{spec}: not a local folder, and the hub did not give it ({first})",
        "check the name and the network, give the path of a local folder, or use --model embedded",
    )
