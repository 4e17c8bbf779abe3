"""What the trainers share: placement, the settings that every TRL configuration gets, progress, the check for a loss that is no number."""

from __future__ import annotations

import json
import math
import os
import shutil
from pathlib import Path
from typing import Any

from pydantic import Field

from charter.core.config import Config
from charter.core.errors import MissingPartError, ModelError, TrainError
from charter.core.installing import install
from charter.core.progress import Advance
from charter.core.rows import Conversation
from charter.train._adapters import Lora
from charter.train.rows import encode_pair


class Common(Config):
    """Settings of every trainer."""

    epochs: float = Field(default=1.0, gt=0.0)
    max_steps: int | None = Field(default=None, ge=1)
    learning_rate: float = Field(default=5e-4, gt=0.0)
    warmup_steps: int = Field(default=6, ge=0)
    batch_rows: int = Field(default=16, ge=1)
    max_length: int = Field(default=256, ge=8)
    save_every: int = Field(default=20, ge=1, description="steps between checkpoints that a killed training resumes from")
    seed: int = Field(default=0, description="in a recipe: the recipe's own seed if left out")
    lora: Lora = Lora()


def require() -> None:
    """Raise MissingPartError unless the training libraries are installed; switch off their telemetry and their model cards' network."""
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    try:
        import accelerate  # noqa: F401
        import datasets  # noqa: F401
        import peft  # noqa: F401
        import trl  # noqa: F401
    except ImportError as error:
        raise MissingPartError(f"training needs {error.name}, which is not installed", install("train")) from None


def one_device(device: str) -> None:
    """Raise TrainError if there are several GPUs: TRL's trainers refuse to share a model among them in one process."""
    import torch

    if device == "cuda" and torch.cuda.device_count() > 1:
        raise TrainError(f"training takes one GPU, and {torch.cuda.device_count()} are visible", "CUDA_VISIBLE_DEVICES=0 charter align")


def load(folder: str | Path, dtype: str, device: str) -> tuple[Any, Any]:
    """(network, tokenizer) of a local folder or hub id, ready for training. Raises ModelError, and TrainError for several GPUs."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer
    from transformers.utils import logging

    one_device(device)
    logging.disable_progress_bar()
    try:
        network = AutoModelForCausalLM.from_pretrained(folder, dtype=getattr(torch, dtype), trust_remote_code=False)
        tokenizer = AutoTokenizer.from_pretrained(folder)
    except (OSError, ValueError) as error:
        raise _cannot_load(folder, error) from None
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token
    return network.to(device), tokenizer


def skeleton(folder: str | Path) -> Any:
    """The network of a local folder or hub id without its weights: enough to see which layers it has. Raises ModelError."""
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    try:
        config = AutoConfig.from_pretrained(folder, trust_remote_code=False)
        with torch.device("meta"):
            return AutoModelForCausalLM.from_config(config, trust_remote_code=False)
    except (OSError, ValueError, KeyError, ImportError) as error:
        raise _cannot_load(folder, error) from None


def _cannot_load(folder: str | Path, error: Exception) -> ModelError:
    return ModelError(f"{folder}: cannot be loaded for training ({str(error).splitlines()[0][:160]})", "charter doctor")


def check_template(tokenizer: Any) -> None:
    """Raise TrainError for a chat template that answers cannot be trained in."""
    encode_pair(tokenizer, Conversation.ask("Hello?"), "Hello.", ended=True)


def arguments(config: Common, out: Path, steps: int, dtype: str, device: str) -> dict[str, Any]:
    """What SFTConfig and DPOConfig have in common. Rows come in the order laid out in ``rows.in_batches``."""
    return {
        "output_dir": str(out),
        "max_steps": steps,
        "per_device_train_batch_size": config.batch_rows,
        "gradient_accumulation_steps": 1,
        "activation_checkpointing": False,
        "learning_rate": config.learning_rate,
        "lr_scheduler_type": "linear",
        "warmup_steps": min(config.warmup_steps, steps // 4),
        "max_grad_norm": 1.0,
        "weight_decay": 0.0,
        "train_sampling_strategy": "sequential",
        "seed": config.seed,
        "data_seed": config.seed,
        "bf16": False,
        "use_cpu": device == "cpu",
        "dataloader_pin_memory": device != "cpu",
        "save_strategy": "steps",
        "save_steps": config.save_every,
        "save_total_limit": 1,
        "logging_steps": 5,
        # on, it would log the mean of earlier losses in place of one that is no number
        "logging_nan_inf_filter": False,
        "report_to": [],
        "disable_tqdm": True,
        "remove_unused_columns": False,
    }


def run(trainer: Any, out: Path, advance: Advance, method: str) -> list[dict[str, float]]:
    """Train, going on from the newest whole checkpoint under ``out``. Returns the log history. Raises TrainError when a logged loss or, at the end,
    a trained weight is no number. ``method``: the recipe's name of it."""
    from transformers import PrinterCallback, TrainerCallback

    hint = f"lower the learning rate: charter align train.{method}.learning_rate=1e-4"

    class Watch(TrainerCallback):  # type: ignore[misc]
        def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
            advance(1)

        def on_log(self, args: Any, state: Any, control: Any, logs: dict[str, float] | None = None, **kwargs: Any) -> None:
            loss = (logs or {}).get("loss")
            if loss is not None and not math.isfinite(loss):
                raise TrainError(f"the loss is {loss} at step {state.global_step}", hint)

    trainer.remove_callback(PrinterCallback)
    trainer.add_callback(Watch())
    last = last_whole_checkpoint(out)
    if last is not None:
        advance(int(last.name.rpartition("-")[2]))
    trainer.train(resume_from_checkpoint=None if last is None else str(last))
    # the steps behind the last logged one were seen by nobody
    broken = [name for name, weight in trainer.model.named_parameters() if weight.requires_grad and not weight.isfinite().all()]
    if broken:
        raise TrainError(f"after step {trainer.state.global_step} the weights of {len(broken)} adapters are no numbers, first {broken[0]}", hint)
    return [entry for entry in trainer.state.log_history if "loss" in entry]


def last_whole_checkpoint(out: Path) -> Path | None:
    """The newest checkpoint under ``out`` that was written to its end. Those that a kill left half-written are removed: the trainer takes the
    highest number, whatever is in it, and counts it among those it keeps."""
    whole: dict[int, Path] = {}
    for folder in out.glob("checkpoint-*"):
        try:
            state = json.loads((folder / "trainer_state.json").read_text(encoding="utf-8"))  # the trainer writes it last
        except (OSError, ValueError):
            shutil.rmtree(folder)
        else:
            whole[int(state["global_step"])] = folder
    return whole[max(whole)] if whole else None


def save_merged(trainer: Any, tokenizer: Any, out: Path, scale: float = 1.0) -> None:
    """Merge ``scale`` times the adapters' change (interpolating weights: Wortsman et al. 2022, arXiv 2109.01903) and write a plain model that
    transformers loads; whole or not at all."""
    import torch

    temporary = out.with_name(out.name + ".tmp")
    for layer in trainer.model.modules():
        if scale != 1.0 and hasattr(layer, "scale_layer"):
            layer.scale_layer(scale)
    merged = trainer.model.merge_and_unload()
    merged.to(torch.bfloat16).save_pretrained(temporary)
    tokenizer.save_pretrained(temporary)
    os.replace(temporary, out)
