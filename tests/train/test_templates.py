"""Answers in the chat templates of real model families (those that TRL ships), whole and cut."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from charter.core.errors import TrainError
from charter.core.rows import Conversation
from charter.train.rows import encode_pair

trl = pytest.importorskip("trl", reason="needs the extra 'train'")
TEMPLATES = {p.stem: p for p in sorted((Path(trl.__file__).parent / "chat_templates").glob("*.jinja")) if not p.stem.endswith("_training")}
#: Their own error says what is wrong with them; llava's renders parts alone, so it fails before there is anything to train on.
REFUSED = {
    "glm4moe": "puts nothing after an answer",
    "idefics3": "leaves the answer out",
    "smolvlm": "leaves the answer out",
    "deepseek_r1_distill": "rewrites the prompt",
    "deepseekv3": "rewrites the prompt",
    "nemotron_3_5_lightning": "rewrites the prompt",
    "nemotron_3_nano": "rewrites the prompt",
    "nemotron_3_super": "rewrites the prompt",
    "nemotron_3_ultra": "rewrites the prompt",
}
BEFORE = {
    "qwen3": "<think>\n\n</think>\n\n",
    "qwen3_8": "\n</think>\n\n",
    "gptoss": "<|channel|>final<|message|>",
    "muse_glimmer": " to=user<|message|>",
    "qwen2_5": "",
    "llama3": "",
}


class Texts:
    """A tokenizer whose one id is the text itself."""

    name_or_path = "some/model"

    def __init__(self, template: str) -> None:
        from tokenizers import Tokenizer, models
        from transformers import PreTrainedTokenizerFast

        backend = Tokenizer(models.WordLevel({"<unk>": 0}, unk_token="<unk>"))
        self._renders = PreTrainedTokenizerFast(
            tokenizer_object=backend, bos_token="<bos>", eos_token="<eos>", pad_token="<pad>", chat_template=template
        )

    def apply_chat_template(self, messages: list[dict[str, str]], **options: Any) -> str:
        return self._renders.apply_chat_template(messages, **options)

    def __call__(self, text: str, **options: Any) -> dict[str, list[str]]:
        return {"input_ids": [text]}


def tail(name: str, answer: str, *, ended: bool) -> str:
    return encode_pair(Texts(TEMPLATES[name].read_text()), Conversation.ask("Hi?"), answer, ended=ended)[1][0]


@pytest.mark.parametrize("name", sorted(set(TEMPLATES) - set(REFUSED) - {"llava_next"}))
@pytest.mark.parametrize("answer", ["No, I will not.", "a", "end", "final"])
def test_a_cut_answer_begins_as_a_whole_one_and_only_lacks_its_end(name: str, answer: str) -> None:
    whole, cut = tail(name, answer, ended=True), tail(name, answer, ended=False)
    assert cut.endswith(answer)
    assert whole.startswith(cut)
    assert whole[len(cut) :].strip()
    assert not whole.endswith("\n")
    if name in BEFORE:
        assert cut == BEFORE[name] + answer


@pytest.mark.parametrize(("name", "why"), sorted(REFUSED.items()))
def test_a_template_that_cannot_be_used_is_named(name: str, why: str) -> None:
    with pytest.raises(TrainError, match=rf"^some/model: the model's chat template {why}") as caught:
        tail(name, "No.", ended=True)
    assert "chat_template" in caught.value.hint
