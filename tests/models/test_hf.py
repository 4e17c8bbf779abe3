"""Local models: what of a conversation they can be asked, and how much."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

transformers = pytest.importorskip("transformers", reason="needs the extra 'local'")

from charter.models.hf import NO_LIMIT, HfModel  # noqa: E402


def with_config(config: Any, longest: float = 1e30) -> HfModel:
    model = HfModel("ORG/NAME")
    model._network = SimpleNamespace(config=config)
    model._tokenizer = SimpleNamespace(model_max_length=longest)
    return model


def test_the_context_is_that_of_the_text_model() -> None:
    nested = transformers.Gemma3Config(text_config={"max_position_embeddings": 32_768})
    assert not hasattr(nested, "max_position_embeddings")
    assert with_config(nested).context == 32_768
    assert with_config(transformers.LlamaConfig(max_position_embeddings=512), longest=8192).context == 512


def test_where_the_configuration_tells_no_context_the_tokenizer_does() -> None:
    assert with_config(transformers.BloomConfig(), longest=4096).context == 4096
    assert with_config(transformers.BloomConfig()).context == NO_LIMIT
