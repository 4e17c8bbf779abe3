"""A real, tiny, random transformers model with its own tokenizer, made on the spot: every stage runs on it in seconds."""

from __future__ import annotations

import os
import re
from collections import Counter
from pathlib import Path

import pytest

from charter.data.sources import starter

CHAT = "{% for m in messages %}<|{{ m['role'] }}|> {{ m['content'] }} <|end|> {% endfor %}{% if add_generation_prompt %}<|assistant|> {% endif %}"
SPECIAL = ["<|pad|>", "<|unk|>", "<|end|>", "<|system|>", "<|user|>", "<|assistant|>"]


def make_tiny_model(folder: Path) -> Path:
    """A two-layer Llama over the commonest words of the starter set; the same weights every time."""
    import torch
    from tokenizers import Regex, Tokenizer, models, pre_tokenizers
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    words = Counter(word for e in starter.build(starter.Config()) for word in re.findall(r"\w+|[^\w\s]", f"{e.prompt} {e.target or ''}"))
    vocabulary = {word: n for n, word in enumerate([*SPECIAL, *(word for word, _ in words.most_common(900))])}
    backend = Tokenizer(models.WordLevel(vocabulary, unk_token="<|unk|>"))
    backend.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Split(Regex(r"<\|\w+\|>|\w+|[^\w\s]"), "removed", invert=True)]
    )
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=backend, eos_token="<|end|>", pad_token="<|pad|>", unk_token="<|unk|>", chat_template=CHAT)
    torch.manual_seed(0)
    size = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2}
    ends = {"bos_token_id": 2, "eos_token_id": 2, "pad_token_id": 0}
    LlamaForCausalLM(LlamaConfig(vocab_size=len(vocabulary), max_position_embeddings=512, tie_word_embeddings=True, **size, **ends)).save_pretrained(
        folder
    )
    tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("trl", reason="needs the extra 'train'")
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    return make_tiny_model(tmp_path_factory.mktemp("tiny") / "model")
