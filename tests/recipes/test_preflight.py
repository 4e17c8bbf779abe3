"""What cannot be trained is said before the first stage, and nothing is written."""

from __future__ import annotations

import builtins
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import charter.policy.load
from charter.core.errors import CharterError, InputError, MissingPartError, ModelError, TrainError
from charter.recipes import single
from charter.recipes.align import align
from charter.recipes.config import Recipe, load_recipe

pytest.importorskip("trl", reason="needs the extra 'train'")
pytestmark = [pytest.mark.filterwarnings(f"ignore::{kind}") for kind in ("FutureWarning", "DeprecationWarning", "UserWarning")]
TEXTS = Path(charter.policy.load.__file__).parent / "texts"
Start = Callable[[Recipe, Path], Any]
WAYS: dict[str, Start] = {"align": align, "train": lambda recipe, out: single.run_stage("sft", recipe, out)}


@pytest.fixture(params=sorted(WAYS))
def refused(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[..., CharterError]:
    """Start the recipe with a model and overrides, and see it refused with nothing written."""

    def start(kind: type[CharterError], model: str | Path, *overrides: str) -> CharterError:
        with pytest.raises(kind) as caught:
            WAYS[request.param](load_recipe(None, ["train.sft.lora.first_layer=0", *overrides], {"model": str(model)}), tmp_path / "run")
        assert not (tmp_path / "run").exists()
        assert caught.value.hint
        return caught.value

    return start


def test_a_model_without_weights_here(refused: Callable[..., CharterError]) -> None:
    assert "only local models can be trained" in str(refused(ModelError, "scripted"))


def test_an_attack_that_is_none_and_a_charter_of_other_hazards(refused: Callable[..., CharterError], tiny_model: Path) -> None:
    """Both were found out after a whole baseline."""
    assert "nope" in str(refused(InputError, tiny_model, "redteam.attacks=[nope]"))
    own = tiny_model.parent / "theft.yaml"
    own.write_text((TEXTS / "minimal.yaml").read_text(encoding="utf-8").replace("nonviolent_crime", "theft"), encoding="utf-8")
    assert "the training goals are of others" in str(refused(InputError, tiny_model, f"charter={own}"))


def test_a_gguf_file(refused: Callable[..., CharterError], tmp_path: Path) -> None:
    (tmp_path / "model.gguf").write_bytes(b"GGUF1234")
    assert "a GGUF file can be run but not trained" in str(refused(ModelError, tmp_path / "model.gguf"))


def test_a_folder_that_holds_no_model(refused: Callable[..., CharterError], tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    assert "cannot be loaded for training" in str(refused(ModelError, tmp_path / "empty"))


def test_training_libraries_that_are_missing(refused: Callable[..., CharterError], tiny_model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = builtins.__import__

    def without(name: str, *rest: Any) -> Any:
        if name == "peft":
            raise ImportError("No module named 'peft'", name="peft")
        return whole(name, *rest)

    monkeypatch.setattr(builtins, "__import__", without)
    assert "pip install '.[train]'" in str(refused(MissingPartError, tiny_model))


def test_layers_that_the_model_does_not_have(refused: Callable[..., CharterError], tiny_model: Path, tmp_path: Path) -> None:
    from transformers import GPT2Config, GPT2LMHeadModel

    gpt2 = tmp_path / "gpt2"
    shutil.copytree(tiny_model, gpt2)
    GPT2LMHeadModel(GPT2Config(n_layer=2, n_head=2, n_embd=16, vocab_size=50, bos_token_id=1, eos_token_id=2)).save_pretrained(gpt2)
    assert "no linear layer of GPT2LMHeadModel" in str(refused(TrainError, gpt2))
    assert "layers are 0 to 1" in str(refused(TrainError, tiny_model, "train.sft.lora.first_layer=12"))


def test_a_chat_template_that_ends_no_answer(refused: Callable[..., CharterError], tiny_model: Path, tmp_path: Path) -> None:
    endless = tmp_path / "endless"
    shutil.copytree(tiny_model, endless)
    (endless / "chat_template.jinja").write_text("{% for m in messages %}<|{{ m['role'] }}|> {{ m['content'] }}{% endfor %}")
    assert "chat template" in str(refused(TrainError, endless))


def test_several_gpus(refused: Callable[..., CharterError], tiny_model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda number: "a GPU")
    assert "training takes one GPU, and 2 are visible" in str(refused(TrainError, tiny_model))


def test_every_method_of_the_recipe_is_looked_at(tiny_model: Path, tmp_path: Path) -> None:
    overrides = ["train.methods=[sft, dpo]", "train.sft.lora.first_layer=0", "train.dpo.lora.modules=[c_attn]"]
    with pytest.raises(TrainError, match=r"train\.dpo\.lora\.modules names c_attn"):
        align(load_recipe(None, overrides, {"model": str(tiny_model)}), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_method_that_the_recipe_leaves_out_is_said_at_once(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="trains sft, not dpo"):
        single.run_stage("dpo", load_recipe(None, [], {"model": "scripted"}), tmp_path / "run")
    assert not (tmp_path / "run").exists()
