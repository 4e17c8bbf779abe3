"""Local models: what of a conversation they can be asked, and how much."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from charter.core.errors import InputError
from charter.core.rows import Conversation, Message, Part, Reply, Sampling, ToolCall

transformers = pytest.importorskip("transformers", reason="needs the extra 'local'")

from charter.models.hf import NO_LIMIT, HfModel  # noqa: E402

PICTURE = Message(role="user", content=(Part(type="text", text="what is this?"), Part(type="image", data="data:image/png;base64,AA==")))
CALLED = Message(role="assistant", content="", tool_calls=(ToolCall(name="f", arguments="{}", call_id="c1"),))
RESULT = Message(role="tool", content="4 C", tool_calls=(ToolCall(name="f", arguments="", call_id="c1"),))


class Words:
    """As much of a tokenizer as a prompt needs: one token a word."""

    chat_template = "yes"
    model_max_length = 50

    def apply_chat_template(self, chat: list[dict[str, str]], **options: Any) -> str:
        return " ".join(turn["content"] for turn in chat)

    def __call__(self, text: str, **options: Any) -> dict[str, list[int]]:
        return {"input_ids": [len(word) for word in text.split()]}


def with_config(config: Any, longest: float = 1e30) -> HfModel:
    model = HfModel("ORG/NAME")
    model._network = SimpleNamespace(config=config)
    model._tokenizer = SimpleNamespace(model_max_length=longest)
    return model


def test_the_context_is_that_of_the_text_model() -> None:
    nested = transformers.Gemma3Config(text_config={"max_position_embeddings": 32_768})
    assert not hasattr(nested, "max_position_embeddings")
    assert with_config(nested).context == 32_768
    assert with_config(transformers.LlamaConfig(max_position_embeddings=512), longest=8192).context == 512


def test_where_the_configuration_tells_no_context_the_tokenizer_does() -> None:
    assert with_config(transformers.BloomConfig(), longest=4096).context == 4096
    assert with_config(transformers.BloomConfig()).context == NO_LIMIT


def test_what_is_no_text_is_not_asked_about_as_if_it_were_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    """An answer to an empty question is no answer to a picture."""
    asked: list[list[int]] = []

    def answer(model: Any, prompts: list[list[int]], *rest: Any) -> list[Reply]:
        asked.extend(prompts)
        return [Reply(text="fine", finish="stop") for _ in prompts]

    monkeypatch.setattr("charter.models._generate.generate", answer)
    model = with_config(transformers.BloomConfig())
    model._tokenizer = Words()
    long = Conversation.ask("a " * 60)
    rows = [Conversation(messages=(PICTURE,)), Conversation.ask("one two"), Conversation(messages=(CALLED, RESULT)), long, Conversation.ask("three")]
    assert sorted(i for batch in model.batches(rows, Sampling(max_tokens=4)) for i in batch) == [0, 1, 2, 3, 4]
    replies = model.reply(rows, Sampling(max_tokens=4))
    assert [r.finish for r in replies] == ["error", "stop", "error", "error", "stop"]
    assert [r.error for r in replies[:3]] == ["this backend cannot send image parts", "", "this backend cannot send tool calls"]
    assert "exceed the context of 50" in replies[3].error
    assert asked == [[3, 3], [5]]
    with pytest.raises(InputError, match="image"):
        model.score(rows[0], ["A", "B"])


# --- what the template writes of a conversation

AS_TEXT = "{% for m in messages %}<{{ m['role'] }}>{{ m['content'] | trim }}{% endfor %}"
AS_PARTS = (
    "{% for m in messages %}<{{ m['role'] }}>{% for part in m['content'] | selectattr('type', 'equalto', 'text') %}{{ part['text'] }}{% endfor %}"
    "{% endfor %}"
)
NO_TEXT_AT_ALL = (
    "{% for m in messages %}<{{ m['role'] }}>{{ raise_exception('parts only') if m['content'] is string }}{{ m['content'][0].text }}{% endfor %}"
)
WITHOUT_THOUGHTS = "{% for m in messages %}<{{ m['role'] }}>{{ m['content'].split('</think>')[-1] }}{% endfor %}"
FIRST_ALONE = "<user>{{ messages[0]['content'] }}"
TALK = Conversation.ask("  How do I bake bread? ").with_reply("Mix flour.")


@pytest.fixture(scope="module")
def tokenizer() -> Any:
    """A real one, one token a word: what a template writes is what the model reads."""
    from tokenizers import Tokenizer, models, pre_tokenizers

    raw = Tokenizer(models.WordLevel({"[UNK]": 0}, unk_token="[UNK]"))
    raw.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    return transformers.PreTrainedTokenizerFast(tokenizer_object=raw, unk_token="[UNK]")


def written(tokenizer: Any, template: str, conversation: Conversation) -> str:
    model = HfModel("ORG/NAME")
    tokenizer.chat_template = template
    model._tokenizer = tokenizer
    model.encode(conversation)
    return model._written(conversation)


def test_templates_that_read_parts_are_given_parts(tokenizer: Any) -> None:
    """With plain text such a template writes an empty conversation, which any guard finds safe."""
    assert written(tokenizer, AS_TEXT, TALK) == "<user>How do I bake bread?<assistant>Mix flour."
    assert tokenizer.apply_chat_template([{"role": "user", "content": "How?"}], chat_template=AS_PARTS, tokenize=False) == "<user>"
    assert written(tokenizer, AS_PARTS, TALK) == "<user>  How do I bake bread? <assistant>Mix flour."


def test_a_template_that_refuses_plain_text_is_given_parts(tokenizer: Any) -> None:
    assert written(tokenizer, NO_TEXT_AT_ALL, TALK).endswith("<assistant>Mix flour.")


def test_a_template_may_leave_out_what_a_model_thought(tokenizer: Any) -> None:
    thought = Conversation.ask("How?").with_reply("<think>Hm.</think>Mix flour.")
    assert written(tokenizer, WITHOUT_THOUGHTS, thought) == "<user>How?<assistant>Mix flour."


def test_what_a_template_leaves_out_is_not_asked_about(tokenizer: Any) -> None:
    with pytest.raises(InputError, match="ORG/NAME: its chat template leaves out what the last message says"):
        written(tokenizer, FIRST_ALONE, TALK)
    assert written(tokenizer, FIRST_ALONE, Conversation.ask("How?")) == "<user>How?"


def test_a_template_that_no_form_suits_says_why(tokenizer: Any) -> None:
    refuses = "{{ raise_exception('roles must alternate') }}"
    with pytest.raises(InputError, match=r"hf:ORG/NAME: its chat template refuses the conversation: roles must alternate"):
        written(tokenizer, refuses, TALK)
