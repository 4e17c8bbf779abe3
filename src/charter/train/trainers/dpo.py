"""Direct preference optimisation with an SFT term on the chosen reply (through TRL's DPOTrainer).

Rafailov et al. 2023 (arXiv 2305.18290); the SFT term keeps the chosen replies likely (Pang et al. 2024, arXiv 2404.19733).
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pydantic import Field

from charter.core.progress import SILENT, Reporter
from charter.core.rows import Preference
from charter.train import _lora
from charter.train._adapters import lora_config
from charter.train.result import Trained
from charter.train.rows import in_batches, preference_columns

NOT_COVERED = "Labels count as hard choices: the stored probability orders and filters pairs but does not weigh them (TRL's DPO has no soft target)."


class Config(_lora.Common):
    """Settings of DPO."""

    learning_rate: float = Field(default=5e-5, gt=0.0)
    batch_rows: int = Field(default=8, ge=1)
    beta: float = Field(default=0.1, gt=0.0)
    sft_weight: float = Field(default=0.2, ge=0.0)


def build(config: Config) -> DPO:
    return DPO(config)


class DPO:
    """``dpo(model_folder, preferences, out)`` trains and writes ``out/checkpoint``; killed, it goes on from ``out/steps``."""

    def __init__(self, config: Config) -> None:
        self.config = config

    def __call__(
        self, model: str | Path, preferences: Sequence[Preference], out: Path, *, dtype: str, device: str, reporter: Reporter = SILENT
    ) -> Trained:
        """Raises TrainError (nothing to train on, loss no number, settings of LoRA that do not fit), ModelError, MissingPartError."""
        _lora.require()
        from datasets import Dataset
        from transformers import set_seed
        from trl import DPOConfig, DPOTrainer

        config = self.config
        set_seed(config.seed)
        network, tokenizer = _lora.load(model, dtype, device)
        columns = preference_columns(preferences, tokenizer, config.max_length)
        order = in_batches([row.pop("length") for row in columns.rows], config.batch_rows, config.epochs, config.seed)
        steps = -(-len(order) // config.batch_rows)
        steps = min(steps, config.max_steps or steps)
        losses = {"loss_type": ["sigmoid", "sft"], "loss_weights": [1.0, config.sft_weight]} if config.sft_weight else {"loss_type": ["sigmoid"]}
        arguments = DPOConfig(
            **_lora.arguments(config, out / "steps", steps, dtype, device), max_length=config.max_length, beta=config.beta, **losses
        )
        trainer = _of_ids(DPOTrainer)(
            model=network,
            args=arguments,
            train_dataset=Dataset.from_list([columns.rows[i] for i in order]),
            processing_class=tokenizer,
            peft_config=lora_config(config.lora, network, "dpo"),
        )
        with reporter.track("DPO steps", steps) as advance:
            history = _lora.run(trainer, out / "steps", advance, "dpo")
        _lora.save_merged(trainer, tokenizer, out / "checkpoint", config.lora.merge_scale)
        return Trained(out / "checkpoint", len(columns.rows), columns.dropped, steps, tuple(entry["loss"] for entry in history))


def _of_ids(trainer: Any) -> Any:
    """TRL's trainer for rows that are token ids already: from a chat it would make whole turns, so a reply that was cut would teach to stop there."""

    class OfIds(trainer):  # type: ignore[misc]
        def _prepare_dataset(self, dataset: Any, *args: Any) -> Any:
            return dataset

    return OfIds
