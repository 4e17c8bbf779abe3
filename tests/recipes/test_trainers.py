"""The trainers on a tiny model: a loss that is no number, a kill while a checkpoint is written."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from charter.core.errors import TrainError
from charter.core.rows import Example, Preference
from charter.data.sources import starter
from charter.train.result import Trained

pytest.importorskip("trl", reason="needs the extra 'train'")
# The training libraries warn about one another's deprecated names; that is theirs to mend.
pytestmark = [pytest.mark.filterwarnings(f"ignore::{kind}") for kind in ("FutureWarning", "DeprecationWarning", "UserWarning")]


def rows() -> list[Example]:
    return starter.build(starter.Config(parts=("harmful",), limit=64))


def train(model: Path, out: Path, **settings: Any) -> Trained:
    from charter.train.trainers import sft

    return sft.build(sft.Config(batch_rows=8, **settings))(model, rows(), out, dtype="float32", device="cpu")


def weights(folder: Path) -> dict[str, Any]:
    from safetensors.torch import load_file

    return load_file(folder / "model.safetensors")


@pytest.mark.parametrize("steps", [8, 10])
def test_weights_that_are_no_numbers_never_become_a_checkpoint(steps: int, tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from charter.train.trainers import sft

    whole, seen = sft.answer_loss, []

    def breaks(network: Any, batch: Any) -> Any:
        seen.append(1)
        return whole(network, batch) * (float("nan") if len(seen) > 3 else 1.0)

    monkeypatch.setattr(sft, "answer_loss", breaks)
    with pytest.raises(TrainError, match=r"the loss is nan at step 5"):
        train(tiny_model, tmp_path, max_steps=steps)
    assert not (tmp_path / "checkpoint").exists()


def test_a_loss_that_breaks_after_the_last_logged_step_is_found(tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from charter.train.trainers import sft

    whole, seen = sft.answer_loss, []

    def breaks(network: Any, batch: Any) -> Any:
        seen.append(1)
        return whole(network, batch) * (float("nan") if len(seen) > 6 else 1.0)

    monkeypatch.setattr(sft, "answer_loss", breaks)
    with pytest.raises(TrainError, match="no numbers") as caught:
        train(tiny_model, tmp_path, max_steps=8)
    assert "learning_rate" in caught.value.hint
    assert not (tmp_path / "checkpoint").exists()


def test_a_kill_while_a_checkpoint_is_written_costs_only_that_checkpoint(tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import torch
    from transformers import Trainer

    whole = Trainer._save_optimizer_and_scheduler

    def killed(trainer: Any, folder: str) -> None:
        if folder.endswith("checkpoint-4"):
            raise KeyboardInterrupt
        whole(trainer, folder)

    settings = {"save_every": 2, "max_steps": 5}
    with monkeypatch.context() as patched:
        patched.setattr(Trainer, "_save_optimizer_and_scheduler", killed)
        with pytest.raises(KeyboardInterrupt):
            train(tiny_model, tmp_path / "killed", **settings)
    assert sorted(p.name for p in (tmp_path / "killed" / "steps").glob("checkpoint-*")) == ["checkpoint-2", "checkpoint-4"]

    resumed = train(tiny_model, tmp_path / "killed", **settings)
    unbroken = train(tiny_model, tmp_path / "unbroken", **settings)
    one, other = weights(resumed.checkpoint), weights(unbroken.checkpoint)
    assert all(torch.equal(one[name], other[name]) for name in other)


def test_where_no_checkpoint_is_whole_training_begins_again(tiny_model: Path, tmp_path: Path) -> None:
    steps = tmp_path / "steps"
    for name, state in (("checkpoint-2", None), ("checkpoint-4", '{"global_st'), ("checkpoint-6", "")):
        (steps / name).mkdir(parents=True)
        if state is not None:
            (steps / name / "trainer_state.json").write_text(state)
    assert train(tiny_model, tmp_path, max_steps=2, save_every=1).steps == 2
    assert [p.name for p in steps.glob("checkpoint-*")] == ["checkpoint-2"]
    assert json.loads((steps / "checkpoint-2" / "trainer_state.json").read_text())["global_step"] == 2


def test_dpo_reads_a_cut_side_without_an_end_of_turn(tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from transformers import AutoTokenizer
    from trl.trainer import dpo_trainer

    from charter.train.trainers import dpo

    batches: list[Sequence[dict[str, list[int]]]] = []
    whole = dpo_trainer.DataCollatorForPreference.torch_call

    def seen(collator: Any, examples: Sequence[dict[str, list[int]]]) -> Any:
        batches.append(examples)
        return whole(collator, examples)

    monkeypatch.setattr(dpo_trainer.DataCollatorForPreference, "torch_call", seen)
    common: dict[str, Any] = {"probability": 0.9, "direction": "harmless", "rejected": "Sure , first you", "rejected_cut": True}
    pairs = [Preference(key=e.key, conversation=e.conversation, chosen=e.target, source=e.source, **common) for e in rows()[:8]]
    done = dpo.build(dpo.Config(batch_rows=4, max_steps=2))(tiny_model, pairs, tmp_path, dtype="float32", device="cpu")
    assert done.rows == len(pairs)
    end = AutoTokenizer.from_pretrained(tiny_model).eos_token_id
    sides = [row for batch in batches for row in batch]
    assert len(sides) >= len(pairs)
    # whole: the end of turn and nothing behind it, as the model itself writes it
    assert all(row["chosen_ids"][-1] == end and row["chosen_ids"].count(end) == 1 and end not in row["rejected_ids"] for row in sides)
