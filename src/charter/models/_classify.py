"""Local sequence-classification weights (Prompt Guard and its kin) through transformers: probabilities by label, long texts by windows."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from charter.core.errors import InputError, ModelError
from charter.models._device import placement
from charter.models._written import read_written
from charter.models.hf import needs_local

#: Windows that go through the network together.
GROUP = 32


class Window(NamedTuple):
    """Characters ``start`` to ``end`` of a text, and the probability of every label there."""

    start: int
    end: int
    labels: dict[str, float]


class TextClassifier:
    """Weights in this process. Nothing is loaded before the first text; code that comes with a model is never run."""

    def __init__(self, spec: str, length: int = 512, overlap: int = 64) -> None:
        plugin, argument, options = read_written(spec)
        if plugin != "hf" or argument.endswith(".gguf") or options:
            raise InputError(f"{spec!r}: a classifier is a folder of weights or a hub id", "hf:ORG/NAME")
        self.spec = f"hf:{argument}"
        self._where, self._length, self._overlap = argument, length, overlap
        self._parts: tuple[Any, Any] | None = None

    def windows(self, texts: Sequence[str]) -> list[list[Window]]:
        """The windows of each text, which together hold all of it. Raises ModelError when the weights cannot be loaded."""
        tokenizer, network = self._load()
        cut = tokenizer(
            list(texts),
            truncation=True,
            max_length=self._length,
            stride=self._overlap,
            return_overflowing_tokens=True,
            return_offsets_mapping=True,
            padding=True,
            return_tensors="pt",
        )
        owners, offsets = cut.pop("overflow_to_sample_mapping").tolist(), cut.pop("offset_mapping").tolist()
        found: list[list[Window]] = [[] for _ in texts]
        for owner, places, labels in zip(owners, offsets, self._probabilities(network, cut), strict=True):
            ends = [end for _, end in places if end]
            starts = [start for start, end in places if end]
            found[owner].append(Window(min(starts, default=0), max(ends, default=0), labels))
        return found

    def _probabilities(self, network: Any, inputs: Any) -> list[dict[str, float]]:
        import torch

        names = [str(network.config.id2label[i]) for i in range(network.config.num_labels)]
        rows: list[dict[str, float]] = []
        with torch.inference_mode():
            for start in range(0, len(inputs["input_ids"]), GROUP):
                part = {name: value[start : start + GROUP].to(network.device) for name, value in inputs.items()}
                for row in network(**part).logits.float().softmax(-1).tolist():
                    rows.append(dict(zip(names, row, strict=True)))
        return rows

    def _load(self) -> tuple[Any, Any]:
        if self._parts is None:
            needs_local()
            from transformers import AutoModelForSequenceClassification, AutoTokenizer
            from transformers.utils import logging

            logging.disable_progress_bar()
            try:
                tokenizer = AutoTokenizer.from_pretrained(self._where, trust_remote_code=False)
                network = AutoModelForSequenceClassification.from_pretrained(self._where, trust_remote_code=False)
            except (OSError, ValueError, ImportError, KeyError) as error:
                first = (str(error).strip().splitlines() or [type(error).__name__])[0][:160]
                hint = f"ls {self._where}" if Path(self._where).exists() else "check the name and the network, or give the path of a local folder"
                raise ModelError(f"{self.spec}: cannot be loaded as a text classifier ({first})", hint) from None
            if not tokenizer.is_fast:
                raise ModelError(f"{self.spec}: has no fast tokenizer, so long texts cannot be cut into windows", "use weights with a tokenizer.json")
            self._parts = tokenizer, network.to(placement().device).eval()
        return self._parts
