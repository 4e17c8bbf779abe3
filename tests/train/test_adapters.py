"""LoRA trains the layers that the recipe names, or says which it cannot find."""

from __future__ import annotations

from typing import Any

import pytest

from charter.core.errors import TrainError
from charter.train._adapters import Lora, lora_config

pytest.importorskip("trl", reason="needs the extra 'train'")
pytestmark = [pytest.mark.filterwarnings(f"ignore::{kind}") for kind in ("FutureWarning", "DeprecationWarning", "UserWarning")]
SIZE: dict[str, Any] = {"num_hidden_layers": 3, "hidden_size": 32, "intermediate_size": 64, "num_attention_heads": 4, "vocab_size": 50}


def llama() -> Any:
    from transformers import LlamaConfig, LlamaForCausalLM

    return LlamaForCausalLM(LlamaConfig(**SIZE))


def phi3() -> Any:
    from transformers import Phi3Config, Phi3ForCausalLM

    return Phi3ForCausalLM(Phi3Config(**SIZE, num_key_value_heads=2, pad_token_id=0, bos_token_id=1, eos_token_id=2))


def gpt2() -> Any:
    from transformers import GPT2Config, GPT2LMHeadModel

    return GPT2LMHeadModel(GPT2Config(n_layer=3, n_head=2, n_embd=16, vocab_size=50, bos_token_id=1, eos_token_id=2))


def trained(network: Any, lora: Lora) -> tuple[set[str], set[str]]:
    """(modules, numbers of layers) that get an adapter."""
    from peft import get_peft_model

    model = get_peft_model(network, lora_config(lora, network, "sft"))
    names = [name.partition(".lora_")[0].split(".") for name, weight in model.named_parameters() if weight.requires_grad]
    return {name[-1] for name in names}, {part for name in names for part in name if part.isdigit()}


@pytest.mark.parametrize(("first", "layers"), [(0, {"0", "1", "2"}), (1, {"1", "2"}), (2, {"2"})])
def test_the_layers_from_the_first_on_are_trained(first: int, layers: set[str]) -> None:
    assert trained(llama(), Lora(first_layer=first)) == (set(Lora().modules), layers)


@pytest.mark.parametrize("first", [3, 12])
def test_a_first_layer_behind_the_last_is_refused(first: int) -> None:
    with pytest.raises(TrainError, match=rf"train.sft.lora.first_layer is {first}, and the model's 3 layers are 0 to 2") as caught:
        lora_config(Lora(first_layer=first), llama(), "sft")
    assert caught.value.hint == "charter align train.sft.lora.first_layer=0"


def test_modules_that_the_model_does_not_have_are_named_with_those_it_has() -> None:
    with pytest.raises(TrainError, match="names q_proj, k_proj, v_proj, gate_proj, up_proj, and no linear layer of Phi3ForCausalLM") as caught:
        lora_config(Lora(), phi3(), "dpo")
    assert caught.value.hint == "charter align train.dpo.lora.modules='[o_proj, qkv_proj, gate_up_proj, down_proj]'"
    names = ("o_proj", "qkv_proj", "gate_up_proj", "down_proj")
    assert trained(phi3(), Lora(modules=names)) == (set(names), {"0", "1", "2"})


@pytest.mark.parametrize("first", [0, 1])
def test_gpt2_has_layers_of_another_kind_and_name(first: int) -> None:
    with pytest.raises(TrainError, match=r"lora\.modules names q_proj") as caught:
        lora_config(Lora(first_layer=first), gpt2(), "sft")
    assert caught.value.hint.endswith("lora.modules='[c_attn, c_proj, c_fc]'")
    modules, layers = trained(gpt2(), Lora(first_layer=first, modules=("c_attn", "c_fc")))
    assert (modules, len(layers)) == ({"c_attn", "c_fc"}, 3 - first)


def test_what_is_no_linear_layer_is_refused() -> None:
    with pytest.raises(TrainError, match="names mlp, and no linear layer"):
        lora_config(Lora(modules=("q_proj", "mlp")), llama(), "sft")
