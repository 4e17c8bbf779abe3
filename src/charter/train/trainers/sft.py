"""Supervised fine-tuning on prompt and answer; only the answer carries loss (through TRL's SFTTrainer).

Safety SFT as in Bianchi et al. 2023 (arXiv 2309.07875): a few hundred safe answers among harmless ones, here with look-alikes.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from pydantic import Field

from charter.core.progress import SILENT, Reporter
from charter.core.rows import Example
from charter.train import _lora
from charter.train.result import Trained
from charter.train.rows import Shortening, in_batches, sft_columns

NOT_COVERED = "One process, one device; no packing; adapters are always merged. It imitates its rows: what they do not show, it does not learn."


class Config(_lora.Common):
    """Settings of safety SFT."""

    short_tokens: int | None = Field(default=None, ge=1, description="cut answers to so many tokens, which saves time; none if left out")
    whole_share: float = Field(default=0.3, ge=0.0, le=1.0, description="share of answers that stay whole all the same")


def build(config: Config) -> SFT:
    return SFT(config)


class SFT:
    """``sft(model_folder, examples, out)`` trains and writes ``out/checkpoint``; killed, it goes on from ``out/steps``."""

    def __init__(self, config: Config) -> None:
        self.config = config

    def __call__(self, model: str | Path, examples: Sequence[Example], out: Path, *, dtype: str, device: str, reporter: Reporter = SILENT) -> Trained:
        """Raises TrainError (nothing to train on, loss no number), ModelError, MissingPartError."""
        _lora.require()
        from datasets import Dataset
        from transformers import set_seed
        from trl import SFTConfig, SFTTrainer

        config = self.config
        set_seed(config.seed)
        network, tokenizer = _lora.load(model, dtype, device)
        shortening = Shortening(config.short_tokens, config.whole_share, config.seed) if config.short_tokens else None
        columns = sft_columns(examples, tokenizer, config.max_length, shortening)
        order = in_batches([len(row["input_ids"]) for row in columns.rows], config.batch_rows, config.epochs, config.seed)
        steps = -(-len(order) // config.batch_rows)
        steps = min(steps, config.max_steps or steps)
        arguments = SFTConfig(
            **_lora.arguments(config, out / "steps", steps, dtype, device),
            dataset_kwargs={"skip_prepare_dataset": True},
            max_length=config.max_length,
            shuffle_dataset=False,
        )
        trainer = SFTTrainer(
            model=network,
            args=arguments,
            train_dataset=Dataset.from_list([columns.rows[i] for i in order]),
            processing_class=tokenizer,
            peft_config=_lora.lora_config(config.lora, network.config.num_hidden_layers),
        )
        with reporter.track("SFT steps", steps) as advance:
            history = _lora.run(trainer, out / "steps", advance)
        _lora.save_merged(trainer, tokenizer, out / "checkpoint", config.lora.merge_scale)
        return Trained(out / "checkpoint", len(columns.rows), columns.dropped, steps, tuple(entry["loss"] for entry in history))
