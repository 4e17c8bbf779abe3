"""Splitting by topic, and finding near-duplicates: properties, and the slow and simple way as a check."""

from __future__ import annotations

import random
import time
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from charter.core.rows import Conversation, Example, Message, Source
from charter.data import reworded
from charter.data.allowed import why_not_allowed
from charter.data.dedupe import HeldOut, NearDuplicates, shingles, similarity
from charter.data.reworded import Reworded, edits
from charter.data.sources import starter
from charter.data.split import held_out_topics

TOPICS = st.lists(st.tuples(st.sampled_from("xyz"), st.sampled_from("abcdefghijklmnopqrst")), max_size=80)
TEXTS = st.lists(st.lists(st.sampled_from("how do I bake rob a bank bread the".split()), max_size=8).map(" ".join), max_size=8)


@settings(deadline=None)
@given(TOPICS, st.floats(0.01, 0.99), st.integers(0, 99))
def test_the_share_of_every_group_is_held_out_and_at_least_one(topics: list[tuple[str, str]], share: float, seed: int) -> None:
    held = held_out_topics(topics, share, seed)
    assert held <= set(topics)
    for group in {group for group, _ in topics}:
        names = {name for g, name in topics if g == group}
        assert len({name for g, name in held if g == group}) == max(1, round(share * len(names)))


@settings(deadline=None)
@given(TOPICS)
def test_the_split_ignores_order_repeats_and_other_groups(topics: list[tuple[str, str]]) -> None:
    held = held_out_topics(topics, 0.3, 5)
    assert held_out_topics([*reversed(topics), *topics], 0.3, 5) == held
    for group in "xyz":
        alone = held_out_topics([t for t in topics if t[0] == group], 0.3, 5)
        assert alone == {t for t in held if t[0] == group}


def test_the_split_is_drawn_by_seed() -> None:
    topics = [("g", f"t{i}") for i in range(40)]
    drawn = [held_out_topics(topics, 0.2, seed) for seed in range(20)]
    assert len({frozenset(held) for held in drawn}) == 20
    assert len(set().union(*drawn)) == 40
    # golden: a change here moves evaluation rows into training
    assert sorted(held_out_topics(topics, 0.1, 0)) == [("g", "t21"), ("g", "t29"), ("g", "t3"), ("g", "t32")]


@settings(deadline=None)
@given(TEXTS, st.lists(st.sampled_from("how do I bake bread !".split()), max_size=8).map(" ".join))
def test_the_index_finds_what_comparing_with_all_finds(texts: list[str], text: str) -> None:
    assert NearDuplicates(texts).closest(text) == max((similarity(text, other) for other in texts), default=0.0)


@settings(deadline=None)
@given(st.text(max_size=40), st.text(max_size=40))
def test_similarity_is_a_share_symmetric_and_1_for_the_same_words(a: str, b: str) -> None:
    assert 0.0 <= similarity(a, b) == similarity(b, a) <= 1.0
    assert similarity(a, a) == 1.0
    assert similarity(a, f"  {a} !") == 1.0


def test_similarity_counts_word_triples() -> None:
    assert shingles("Rob a bank!") == {("^", "rob", "a"), ("rob", "a", "bank"), ("a", "bank", "$")}
    assert similarity("rob a bank", "ROB, a bank?") == 1.0
    assert similarity("how do I rob a bank", "how do I rob a shop") == 4 / 8
    assert similarity("rob a bank", "bake a cake") == 0.0
    assert similarity("", "") == 1.0
    assert NearDuplicates().closest("anything") == 0.0


def test_what_is_added_later_is_found() -> None:
    seen = NearDuplicates(["bake bread"])
    assert seen.closest("rob a bank") == 0.0
    seen.add("rob a bank")
    assert seen.closest("rob a bank") == 1.0


HELD = "How do I open the old wooden box in the attic?"


@pytest.mark.parametrize(
    "text",
    [
        HELD.upper(), "How do I open the old metal box in the attic?", "How do I open an old wooden box in the attic please",
        "Stay in character. How do I open the old wooden box in the attic? Answer as a pirate.", "How can I bake rye bread?",
        "Could you bake rye bread",
    ],
)  # fmt: skip
def test_a_prompt_with_one_word_changed_is_still_the_prompt(text: str) -> None:
    """However short: two in three of a short text's 3-grams go with one word inside it."""
    assert HeldOut([HELD, "How do I bake rye bread?"]).has_like(text)


@pytest.mark.parametrize(
    "text", ["", "How do I", "How do I bake white bread?", "How do I open the door?", "Is rye bread good?", "What is in the attic?"]
)
def test_a_prompt_about_something_else_is_another(text: str) -> None:
    assert not HeldOut([HELD, "How do I bake rye bread?"]).has_like(text)


@pytest.mark.parametrize(
    ("held", "text"),
    [
        (HELD, "How do I o\u200bpen the old wo\u2060oden box in the at\u200btic?"),
        (HELD, "How do I \u043e\u0440en the old wooden b\u043ex in the \u0430ttic?"),
        (HELD, "H0w d0 1 0pen th3 0ld w00den b0x in th3 att1c?"),
        ("How do I \u043epen the old wooden box?", "How do I open the old wooden box?"),
        ("どうすれば屋根裏の古い木箱を開けられますか？", "どうすれば屋根裏の古い木箱をすぐ開けられますか？"),
        ("我怎样才能打开阁楼里的旧木箱？", "我怎样才能打开阁楼里的那只旧木箱?"),
        ("我今天怎样才能打开阁楼里的旧木箱？", "请扮演海盗回答：我今天怎样才能打开阁楼里的旧木箱？谢谢。"),
        ("ฉันจะเปิดกล่องไม้เก่าได้อย่างไร", "ฉันจะเปิดกล่องไม้เก่านี้ได้อย่างไร"),
    ],
)
def test_a_disguise_or_a_script_without_blanks_hides_no_prompt(held: str, text: str) -> None:
    assert HeldOut([held]).has_like(text)


@pytest.mark.parametrize("text", ["我怎样才能烤面包？", "阁楼里有什么？", "木箱", "どうすればパンを焼けますか？"])
def test_another_prompt_in_a_script_without_blanks_is_another(text: str) -> None:
    assert not HeldOut(["我怎样才能打开阁楼里的旧木箱？", "どうすれば屋根裏の古い木箱を開けられますか？"]).has_like(text)


def test_no_turn_and_no_answer_holds_an_evaluation_prompt() -> None:
    held = HeldOut([HELD])

    def row(*turns: str, target: str = "With its key.") -> Example:
        messages = tuple(Message(role=role, content=text) for role, text in zip(("user", "assistant", "user"), turns, strict=False))
        return Example(key="a", conversation=Conversation(messages=messages), target=target, source=Source(dataset="own"))

    assert why_not_allowed(row(HELD, "With its key.", "And without one?"), held) == "near-duplicate of an evaluation prompt"
    assert why_not_allowed(row("Say it again.", HELD, "Thanks."), held) == "near-duplicate of an evaluation prompt"
    assert why_not_allowed(row("What did they ask?", target=f"They asked: {HELD}"), held) == "answer holds an evaluation prompt"
    assert why_not_allowed(row("How do I bake bread?", "In an oven.", "And without one?", target="On a stone."), held) == ""


def test_the_starter_set_loses_no_row_to_its_own_evaluation() -> None:
    """Twins differ by few words, and stand on one side of the split with their pair."""
    for seed in range(2):
        held = HeldOut([e.prompt for e in starter.build(starter.Config(split="evaluation", seed=seed))])
        learned = starter.build(starter.Config(split="train", parts=("harmful", "twin", "lookalike", "practice", "plain", "exemplars"), seed=seed))
        assert [e.key for e in learned if why_not_allowed(e, held)] == []


@given(st.lists(st.sampled_from("abc"), max_size=8), st.lists(st.sampled_from("abc"), max_size=8))
def test_edits_are_counted_as_they_are_defined(a: list[str], b: list[str]) -> None:
    def slow(i: int, j: int) -> int:
        if not i or not j:
            return i or j
        return (
            min(slow(i - 1, j) + 1, slow(i, j - 1) + 1, slow(i - 1, j - 1) + (a[i - 1] != b[j - 1])) if a[i - 1] != b[j - 1] else slow(i - 1, j - 1)
        )

    assert edits(a, b) == slow(len(a), len(b))
    assert edits(a, b, inside=True) == min(edits(a, b[i:j]) for i in range(len(b) + 1) for j in range(i, len(b) + 1))


def table(a: Sequence[str], b: Sequence[str], inside: bool) -> int:
    """``edits`` by the whole table."""
    row = [0] * (len(b) + 1) if inside else list(range(len(b) + 1))
    for number, word in enumerate(a, 1):
        last, row = row, [number]
        for place, other in enumerate(b, 1):
            row.append(min(last[place] + 1, row[-1] + 1, last[place - 1] + (word != other)))
    return min(row) if inside else row[-1]


@settings(deadline=None)
@given(st.integers(0, 10_000), st.integers(0, 90), st.integers(0, 90), st.integers(1, 30), st.booleans())
def test_edits_of_longer_texts_are_those_of_the_whole_table(seed: int, mine: int, others: int, words: int, inside: bool) -> None:
    rng = random.Random(seed)
    a, b = ([f"w{rng.randrange(words)}" for _ in range(count)] for count in (mine, others))
    assert edits(a, b, inside) == table(a, b, inside)


@settings(deadline=None, max_examples=200)
@given(st.integers(0, 100_000), st.floats(0.5, 0.95))
def test_narrowing_a_text_down_finds_what_aligning_all_of_it_finds(seed: int, least: float) -> None:
    """Prompts planted in a text with some words changed, put in or left out: the same shares, whether or not the text is narrowed down first."""
    rng = random.Random(seed)
    vocabulary = [f"w{n}" for n in range(rng.choice((12, 60, 400)))]
    prompts = [" ".join(rng.choices(vocabulary, k=rng.randint(1, 24))) for _ in range(6)]
    text = rng.choices(vocabulary, k=rng.randint(0, 120))
    for prompt in rng.choices(prompts, k=2):
        changed = [word for word in prompt.split() for word in rng.choice(([word], [word], [word], [word], [], ["other"], [word, "more"]))]
        place = rng.randint(0, len(text))
        text[place:place] = changed
    whole = " ".join(text)
    usual = Reworded(prompts).closest(whole, least)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(reworded, "_LONG", 1)
        assert Reworded(prompts).closest(whole, least) == usual
    shares = []
    for prompt in (one.split() for one in prompts):
        inside = len(prompt) >= 8
        size = len(prompt) if inside else max(len(prompt), len(text))
        shares.append(1 - table(prompt, text, inside) / size if set(prompt) & set(text) else 0.0)
    assert usual == max((share for share in shares if share >= least), default=0.0)


def test_long_texts_are_compared_in_no_time_and_what_stands_in_them_is_found() -> None:
    rng = random.Random(0)
    vocabulary = [*"the a of to in is and that how do i what".split()] * 20 + [f"word{n}" for n in range(600)]
    held = HeldOut([" ".join(rng.choices(vocabulary, k=14)) for _ in range(300)])
    prompt = " ".join(rng.choices(vocabulary, k=14))
    large = rng.choices(vocabulary, k=16_000)
    words = rng.choices(vocabulary, k=4_000)
    start = time.process_time()
    assert not held.has_like(" ".join(large))
    assert HeldOut([prompt]).has_like(" ".join([*large[:9_000], prompt, *large[9_000:]]))
    assert not HeldOut([" ".join(words)]).has_like(" ".join(rng.sample(words, len(words))))
    assert time.process_time() - start < 5.0, "took over ten seconds when every word was compared with every other"


def test_which_of_the_held_out_texts_is_alike_is_told() -> None:
    held = HeldOut([HELD, "How do I bake rye bread?", "H0w d0 1 b4ke ry3 br3ad?", "Where is the attic?"])
    assert held.alike("Could you bake rye bread") == {1, 2}
    assert held.alike(f"Stay in character. {HELD} Answer as a pirate.") == {0}
    assert held.alike("What is in the attic?") == set()
