"""SFT and DPO for two steps on the real embedded model, and the backend's arithmetic on it. Skips with the reason where it cannot be had."""

from __future__ import annotations

from pathlib import Path

import pytest

from charter.core.errors import ModelError
from charter.core.rows import Conversation, Preference, Sampling
from charter.data.sources import starter

pytest.importorskip("trl", reason="needs the extra 'train'")
# The training libraries warn about one another's deprecated names; that is theirs to mend.
pytestmark = [pytest.mark.filterwarnings(f"ignore::{kind}") for kind in ("FutureWarning", "DeprecationWarning", "UserWarning")]


@pytest.fixture(scope="module")
def weights() -> Path:
    from charter.models import embedded

    try:
        return embedded.fetch()
    except ModelError as error:
        pytest.skip(f"the embedded model cannot be had here: {error.message}")


@pytest.fixture(scope="module")
def model(weights: Path):
    from charter.models.hf import HfModel

    return HfModel(weights)


def test_two_steps_of_sft_change_the_weights_and_lower_the_loss(weights: Path, tmp_path: Path) -> None:
    from charter.models._device import placement
    from charter.recipes.stages import weights_hash
    from charter.train.trainers import sft

    rows = starter.build(starter.Config(parts=("harmful",), limit=8))
    place = placement()
    config = sft.Config(batch_rows=2, max_steps=2, learning_rate=1e-3, lora={"first_layer": 20})
    done = sft.build(config)(weights, rows, tmp_path, dtype=place.dtype, device=place.device)
    assert done.steps == 2
    assert weights_hash(done.checkpoint) != weights_hash(weights)
    assert (done.checkpoint / "tokenizer.json").exists()


def test_two_steps_of_dpo_run(weights: Path, tmp_path: Path) -> None:
    from charter.models._device import placement
    from charter.train.trainers import dpo

    rows = starter.build(starter.Config(parts=("harmful",), limit=4))
    common = {"rejected": "Sure, first you", "probability": 0.9, "direction": "harmless"}
    pairs = [Preference(key=e.key, conversation=e.conversation, chosen=e.target, source=e.source, **common) for e in rows]
    place = placement()
    config = dpo.Config(batch_rows=2, max_steps=2, lora={"first_layer": 24})
    done = dpo.build(config)(weights, pairs, tmp_path, dtype=place.dtype, device=place.device)
    assert done.steps == 2
    assert done.rows == 4


def test_the_shared_prefix_changes_no_answer(model) -> None:
    from charter.models import _generate

    talks = [Conversation.ask(text) for text in ("Name a colour.", "What is two plus two?", "Write one line about the sea and its many moods.")]
    together = [reply.text for reply in model.reply(talks, Sampling(max_tokens=8))]
    prompts = [model.encode(talk) for talk in talks]
    assert _generate.shared_prefix(prompts) >= _generate.MIN_SHARED_TOKENS
    alone = [model.reply([talk], Sampling(max_tokens=8))[0].text for talk in talks]
    assert together == alone


def test_option_scores_add_up_and_follow_the_text(model) -> None:
    import math

    talk = Conversation.ask("Answer with one word. Is the sky on a clear day blue or green?")
    scores = model.score(talk, ["Blue", "Xylophone"])
    assert all(math.isfinite(score) and score < 0 for score in scores)
    assert scores[0] > scores[1]


def test_a_prompt_longer_than_the_context_is_an_error_reply_and_loses_nothing(model) -> None:
    replies = model.reply([Conversation.ask("word " * 9000), Conversation.ask("Say hello.")], Sampling(max_tokens=4))
    assert replies[0].finish == "error"
    assert "exceed the context" in replies[0].error
    assert replies[1].finish != "error"


def test_sampling_repeats_with_its_seed(model) -> None:
    talks = [Conversation.ask("Tell me a story."), Conversation.ask("Describe a garden.")]
    warm = [[r.text for r in model.reply(talks, Sampling(max_tokens=8, temperature=1.0, seed=seed))] for seed in (1, 1, 2)]
    assert warm[0] == warm[1]
    assert warm[0] != warm[2]
