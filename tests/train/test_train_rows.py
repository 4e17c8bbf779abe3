"""Rows to trainer columns, with a tokenizer that makes one id of each character."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from charter.core.errors import TrainError
from charter.core.rows import TRUNCATED, Conversation, Example, Preference, Source
from charter.train.rows import IGNORE, Shortening, chat, encode_pair, in_batches, is_kept, preference_columns, sft_columns

SOURCE = Source(dataset="test")
HEAD, END = "<user>Hi?</s>\n<assistant>", "</s>"


class Tokenizer:
    """ChatML-like. ``rewrites``: drops the prompt's last turn when an answer follows, as some templates drop earlier thoughts."""

    name_or_path = "some/model"

    def __init__(self, rewrites: bool = False) -> None:
        self.rewrites = rewrites

    def apply_chat_template(self, messages: list[dict[str, str]], *, tokenize: bool, add_generation_prompt: bool = False) -> str:
        assert tokenize is False
        said = messages[1:] if self.rewrites and messages[-1]["role"] == "assistant" else messages
        text = "".join(f"<{m['role']}>{m['content']}</s>\n" for m in said)
        return text + ("<assistant>" if add_generation_prompt else "")

    def __call__(self, text: str, *, add_special_tokens: bool) -> dict[str, list[int]]:
        assert add_special_tokens is False
        return {"input_ids": [ord(letter) for letter in text]}


def text(ids: list[int]) -> str:
    return "".join(chr(i) for i in ids if i != IGNORE)


def example(target: str | None, *tags: str, prompt: str = "Hi?") -> Example:
    return Example(key="k", conversation=Conversation.ask(prompt), target=target, tags=tags, source=SOURCE)


def preference(chosen: str, rejected: str, prompt: str = "Hi?") -> Preference:
    return Preference(
        key="k", conversation=Conversation.ask(prompt), chosen=chosen, rejected=rejected, probability=0.9, direction="harmless", source=SOURCE
    )


def test_only_the_answer_and_its_end_of_turn_carry_loss() -> None:
    columns = sft_columns([example("No.")], Tokenizer(), 100)
    row = columns.rows[0]
    assert text(row["input_ids"]) == HEAD + "No." + END
    assert row["labels"] == [IGNORE] * len(HEAD) + [ord(c) for c in "No." + END]
    assert len(row["labels"]) == len(row["input_ids"])
    assert columns.dropped == {}


def test_an_answer_that_was_cut_gets_no_end_of_turn() -> None:
    row = sft_columns([example("No, becau", TRUNCATED)], Tokenizer(), 100).rows[0]
    assert text(row["input_ids"]) == HEAD + "No, becau"
    assert text(row["labels"]) == "No, becau"


def test_earlier_turns_and_system_messages_stay_without_loss() -> None:
    conversation = Conversation.ask("Hi?", system="Be kind.").with_reply("Yes?").with_user("Bye?")
    row = sft_columns([example("No.").model_copy(update={"conversation": conversation})], Tokenizer(), 200).rows[0]
    assert text(row["labels"]) == "No." + END
    assert text(row["input_ids"]).startswith("<system>Be kind.</s>\n<user>Hi?</s>\n<assistant>Yes?</s>\n<user>Bye?</s>\n<assistant>")
    assert chat(conversation)[2] == {"role": "assistant", "content": "Yes?"}


def test_what_cannot_be_used_is_counted_and_what_is_too_long_is_cut() -> None:
    whole, room = len(HEAD) + len("No." + END), len(HEAD) + 2
    rows = [example("No."), example(None), example(""), example("No.", prompt="Hi" * 50), example("A long answer")]
    columns = sft_columns(rows, Tokenizer(), whole)
    assert columns.dropped == {"no answer": 2, "prompt longer than max_length": 1, "answer cut to max_length (row kept)": 1}
    assert sum(count for reason, count in columns.dropped.items() if not is_kept(reason)) == len(rows) - len(columns.rows)
    assert [text(row["labels"]) for row in columns.rows] == ["No." + END, "A long "]
    assert all(len(row["input_ids"]) == len(row["labels"]) <= whole for row in columns.rows)
    tight = sft_columns([example("No.")], Tokenizer(), room)
    assert text(tight.rows[0]["labels"]) == "No"
    with pytest.raises(TrainError, match="no row is left to train on"):
        sft_columns([example("No.")], Tokenizer(), len(HEAD))


def test_answers_are_shortened_but_for_a_share_drawn_by_seed_and_key() -> None:
    rows = [example("No, I won't.").model_copy(update={"key": f"k{i}"}) for i in range(200)]
    columns = sft_columns(rows, Tokenizer(), 100, Shortening(tokens=3, whole_share=0.3, seed=0))
    learnt = Counter(text(row["labels"]) for row in columns.rows)
    assert set(learnt) == {"No,", "No, I won't." + END}
    assert 40 <= learnt["No, I won't." + END] <= 80
    assert columns.dropped == {"answer shortened by the recipe (row kept)": learnt["No,"]}
    assert sft_columns(rows, Tokenizer(), 100, Shortening(3, 0.3, 0)) == columns
    assert sft_columns(rows, Tokenizer(), 100, Shortening(3, 0.3, 1)).rows != columns.rows
    assert sft_columns(rows, Tokenizer(), 100, Shortening(3, 1.0, 0)) == sft_columns(rows, Tokenizer(), 100)
    assert sft_columns([example("No")], Tokenizer(), 100, Shortening(len("No" + END), 0.0, 0)).dropped == {}


@settings(deadline=None, max_examples=60)
@given(st.lists(st.tuples(st.text(max_size=12), st.none() | st.text(max_size=12), st.booleans()), min_size=1, max_size=8), st.integers(20, 60))
def test_every_row_is_used_or_counted_and_no_prompt_is_learnt(items: list[tuple[str, str | None, bool]], max_length: int) -> None:
    rows = [example(target, *([TRUNCATED] if cut else []), prompt=prompt) for prompt, target, cut in items]
    try:
        columns = sft_columns(rows, Tokenizer(), max_length)
    except TrainError:
        return
    lost = columns.dropped.get("no answer", 0) + columns.dropped.get("prompt longer than max_length", 0)
    assert len(columns.rows) + lost == len(rows)
    for row in columns.rows:
        learnt = [label for label in row["labels"] if label != IGNORE]
        assert 1 <= len(learnt) <= len(row["input_ids"]) == len(row["labels"]) <= max_length
        assert row["input_ids"][-len(learnt) :] == learnt


def test_a_template_that_rewrites_the_prompt_is_refused() -> None:
    with pytest.raises(TrainError, match="chat template rewrites the prompt") as caught:
        encode_pair(Tokenizer(rewrites=True), Conversation.ask("Hi?"), "No.", ended=True)
    assert caught.value.hint


def test_preferences_become_ids_with_their_length() -> None:
    columns = preference_columns([preference("No.", "Yes, sure.")], Tokenizer(), 100)
    row = columns.rows[0]
    assert [text(row[name]) for name in ("prompt_ids", "chosen_ids", "rejected_ids")] == [HEAD, "No." + END, "Yes, sure." + END]
    assert row["length"] == len(HEAD + "Yes, sure." + END)
    assert columns.dropped == {}


def test_a_side_that_was_cut_gets_no_end_of_turn() -> None:
    pair = preference("No, I w", "Yes, su")
    assert [END in text(preference_columns([pair], Tokenizer(), 100).rows[0][name]) for name in ("chosen_ids", "rejected_ids")] == [True, True]
    for cut in ({"chosen_cut": True}, {"rejected_cut": True}, {"chosen_cut": True, "rejected_cut": True}):
        row = preference_columns([pair.model_copy(update=cut)], Tokenizer(), 100).rows[0]
        assert text(row["chosen_ids"]) == "No, I w" + ("" if "chosen_cut" in cut else END)
        assert text(row["rejected_ids"]) == "Yes, su" + ("" if "rejected_cut" in cut else END)


def test_only_a_cut_is_stored_and_a_row_without_it_keeps_its_id() -> None:
    pair = preference("No.", "Yes")
    assert not {"chosen_cut", "rejected_cut"} & set(pair.model_dump(mode="json"))
    assert Preference.model_validate(pair.model_dump(mode="json")) == pair
    cut = pair.model_copy(update={"rejected_cut": True})
    assert Preference.model_validate(cut.model_dump(mode="json")) == cut
    assert cut.id != pair.id


def test_a_pair_too_long_on_either_side_is_dropped_whole() -> None:
    limit = len(HEAD + "No." + END)
    rows = [preference("No.", "Yes"), preference("No, no.", "Yes"), preference("No.", "Yes, yes"), preference("a", "b", prompt="Hi" * 40)]
    columns = preference_columns(rows, Tokenizer(), limit)
    assert [text(row["chosen_ids"]) for row in columns.rows] == ["No." + END]
    assert columns.dropped == {"pair longer than max_length": 3}
    with pytest.raises(TrainError, match="no preference pair is left"):
        preference_columns(rows[1:], Tokenizer(), limit)


LENGTHS = st.lists(st.integers(1, 50), max_size=70)


@settings(deadline=None)
@given(LENGTHS, st.integers(1, 9), st.integers(1, 4), st.integers(0, 99))
def test_every_row_comes_exactly_once_an_epoch(lengths: list[int], batch: int, epochs: int, seed: int) -> None:
    order = in_batches(lengths, batch, epochs, seed)
    assert Counter(order) == dict.fromkeys(range(len(lengths)), epochs)
    assert in_batches(lengths, batch, epochs, seed) == order
    # no batch of the trainer holds a row twice, until the leftovers of all epochs at the end
    whole = len(lengths) // batch * epochs
    for at in range(0, whole * batch, batch):
        assert len(set(order[at : at + batch])) == batch


@settings(deadline=None)
@given(LENGTHS, st.integers(1, 9), st.floats(0.01, 3.0, exclude_min=True), st.integers(0, 99))
def test_a_fraction_takes_that_share_of_the_last_epochs_batches(lengths: list[int], batch: int, epochs: float, seed: int) -> None:
    order = in_batches(lengths, batch, epochs, seed)
    counts = Counter(order)
    assert all(int(epochs) <= counts[i] <= int(epochs) + 1 for i in range(len(lengths)))
    assert abs(len(order) - epochs * len(lengths)) <= batch + 1


def test_rows_of_like_length_stand_together_in_every_epoch() -> None:
    order = in_batches(list(range(10)), 4, 3, seed=0)
    batches = [order[at : at + 4] for at in range(0, 24, 4)]
    assert {tuple(b) for b in batches} == {(0, 1, 2, 3), (4, 5, 6, 7)}
    assert Counter(order[24:]) == {8: 3, 9: 3}


def test_the_seed_shuffles_batches_and_epochs_differ() -> None:
    lengths = [i % 7 for i in range(200)]
    order = in_batches(lengths, 4, 2, seed=0)
    assert order != in_batches(lengths, 4, 2, seed=1)
    assert order[:200] != order[200:]
    spread = [max(lengths[i] for i in order[at : at + 4]) - min(lengths[i] for i in order[at : at + 4]) for at in range(0, 400, 4)]
    assert sum(spread) / len(spread) < 1.5  # a random order has about 4
    assert in_batches([], 4, 2.5, seed=0) == []


def test_a_row_that_is_dropped_is_not_also_called_shortened() -> None:
    rows = [example("No, I won't.", prompt="Hi" * 50), example("No, I won't.")]
    columns = sft_columns(rows, Tokenizer(), 60, Shortening(tokens=3, whole_share=0.0, seed=0))
    assert columns.dropped == {"prompt longer than max_length": 1, "answer shortened by the recipe (row kept)": 1}
