"""Low-rank adapters: their settings, and whether a model has the layers that they name."""

from __future__ import annotations

import re
from typing import Any

from pydantic import Field

from charter.core.config import Config
from charter.core.errors import TrainError

LINEAR = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")


class Lora(Config):
    """Low-rank adapters (Hu et al. 2021, arXiv 2106.09685), merged into the weights when training ends."""

    rank: int = Field(default=16, ge=1)
    alpha: int = Field(default=32, ge=1)
    dropout: float = Field(default=0.0, ge=0.0, lt=1.0)
    modules: tuple[str, ...] = LINEAR
    merge_scale: float = Field(
        default=1.0,
        gt=0.0,
        le=1.5,
        description="how much of the learnt change is merged: less refuses less, everywhere; above 1 goes further the same way",
    )
    first_layer: int = Field(default=0, ge=0, description="layers below this one stay as they are, which saves their backward pass")


def check_lora(lora: Lora, network: Any, method: str) -> None:
    """Raise TrainError where PEFT would train other layers than ``lora`` says: without a layer to choose it takes all, and of a module that it does
    not find it says nothing as long as it finds another. ``method``: the recipe's name of the trainer."""
    layers = network.config.get_text_config().num_hidden_layers
    if lora.first_layer >= layers:
        raise TrainError(
            f"train.{method}.lora.first_layer is {lora.first_layer}, and the model's {layers} layers are 0 to {layers - 1}: none would be trained",
            f"charter align train.{method}.lora.first_layer=0",
        )
    linear = _linear(network, lora.first_layer)
    missing = [module for module in lora.modules if not any(name == module or name.endswith(f".{module}") for name in linear)]
    if missing:
        known = ", ".join(dict.fromkeys(name.rpartition(".")[2] for name in linear))
        raise TrainError(
            f"train.{method}.lora.modules names {', '.join(missing)}, and no linear layer of {type(network).__name__} is called so",
            f"charter align train.{method}.lora.modules='[{known}]'",
        )


def _linear(network: Any, first_layer: int) -> list[str]:
    """Names of the linear layers, without the one that ends in the vocabulary, that PEFT finds from ``first_layer`` on."""
    from torch.nn import Linear
    from transformers.pytorch_utils import Conv1D

    last = network.get_output_embeddings()
    names = [name for name, module in network.named_modules() if isinstance(module, (Linear, Conv1D)) and module is not last]
    if not first_layer:
        return names
    numbered = [(name, re.match(r".*\.[^.]*\.(\d+)\.", name)) for name in names]
    return [name for name, number in numbered if number and int(number[1]) >= first_layer]


def lora_config(lora: Lora, network: Any, method: str) -> Any:
    """What PEFT is told. Raises TrainError as ``check_lora`` does."""
    from peft import LoraConfig

    check_lora(lora, network, method)
    layers = range(lora.first_layer, network.config.get_text_config().num_hidden_layers)
    return LoraConfig(
        r=lora.rank,
        lora_alpha=lora.alpha,
        lora_dropout=lora.dropout,
        target_modules=list(lora.modules),
        layers_to_transform=list(layers) if lora.first_layer else None,
        task_type="CAUSAL_LM",
    )
