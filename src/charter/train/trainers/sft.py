"""Supervised fine-tuning on prompt and answer; only the answer carries loss (through TRL's SFTTrainer).

Safety SFT as in Bianchi et al. 2023 (arXiv 2309.07875): a few hundred safe answers among harmless ones, here with look-alikes.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field

from charter.core.progress import SILENT, Reporter
from charter.core.rows import Example
from charter.train import _lora
from charter.train._adapters import lora_config
from charter.train._packing import answer_loss, common_start, packing, packs_rightly, padding
from charter.train.result import Trained
from charter.train.rows import Shortening, in_batches, sft_columns

NOT_COVERED = "One process, one device; adapters are always merged. It imitates its rows: what they do not show, it does not learn."


class Config(_lora.Common):
    """Settings of safety SFT."""

    short_tokens: int | None = Field(default=None, ge=1, description="cut answers to so many tokens, which saves time; none if left out")
    whole_share: float = Field(default=0.3, ge=0.0, le=1.0, description="share of answers that stay whole all the same")
    weights: dict[str, Annotated[float, Field(gt=0.0)]] = Field(
        default={}, description="how much the rows of a tag count in the loss, such as {plain: 2}; 1 where no tag is named"
    )


def build(config: Config) -> SFT:
    return SFT(config)


class SFT:
    """``sft(model_folder, examples, out)`` trains and writes ``out/checkpoint``; killed, it goes on from ``out/steps``."""

    def __init__(self, config: Config) -> None:
        self.config = config

    def __call__(self, model: str | Path, examples: Sequence[Example], out: Path, *, dtype: str, device: str, reporter: Reporter = SILENT) -> Trained:
        """Raises TrainError (nothing to train on, loss no number, settings of LoRA that do not fit), ModelError, MissingPartError."""
        _lora.require()
        from datasets import Dataset
        from transformers import set_seed
        from trl import SFTConfig, SFTTrainer

        config = self.config
        set_seed(config.seed)
        network, tokenizer = _lora.load(model, dtype, device)
        shortening = Shortening(config.short_tokens, config.whole_share, config.seed) if config.short_tokens else None
        columns = sft_columns(examples, tokenizer, config.max_length, shortening, config.weights)
        pack = packing(common_start(columns.rows), network.dtype)
        packed = packs_rightly(network.eval(), columns.rows[:2], pack)
        # packed rows need no neighbours of their own length
        lengths = [0 if packed else len(row["input_ids"]) for row in columns.rows]
        order = in_batches(lengths, config.batch_rows, config.epochs, config.seed)
        steps = -(-len(order) // config.batch_rows)
        steps = min(steps, config.max_steps or steps)
        arguments = SFTConfig(
            **_lora.arguments(config, out / "steps", steps, dtype, device),
            dataset_kwargs={"skip_prepare_dataset": True},
            max_length=config.max_length,
            shuffle_dataset=False,
        )
        trainer = _weighted(SFTTrainer)(
            model=network,
            args=arguments,
            train_dataset=Dataset.from_list([columns.rows[i] for i in order]),
            processing_class=tokenizer,
            data_collator=pack if packed else padding(tokenizer.pad_token_id),
            peft_config=lora_config(config.lora, network, "sft"),
        )
        with reporter.track("SFT steps", steps) as advance:
            history = _lora.run(trainer, out / "steps", advance, "sft")
        _lora.save_merged(trainer, tokenizer, out / "checkpoint", config.lora.merge_scale)
        return Trained(out / "checkpoint", len(columns.rows), columns.dropped, steps, tuple(entry["loss"] for entry in history))


def _weighted(trainer: Any) -> Any:
    """TRL's trainer with the loss that rows of different weight need. Off the GPU, TRL's own loss weighs every word at every position."""

    class Weighted(trainer):  # type: ignore[misc]
        def compute_loss(self, model: Any, inputs: dict[str, Any], return_outputs: bool = False, num_items_in_batch: Any = None) -> Any:
            return answer_loss(model, inputs)

    return Weighted
