from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tiny_benchmark import Tiny, item

from charter.core.errors import InputError
from charter.core.rows import Conversation, Example, Message, Source
from charter.evaluate.measured import answer_key, example_of
from charter.evaluate.plan import Disguise, in_order, questions, take, with_system
from charter.redteam.attacks._framing import FramedAttack

KINDS = st.lists(st.tuples(st.sampled_from([True, False, None]), st.sampled_from("abc"), st.sampled_from(["", "g1", "g2", "g3", "g4"])), max_size=40)


def made(kinds):
    return [
        Example(
            key=f"k{n}",
            conversation=Conversation.ask(f"q{n}"),
            harmful=harmful,
            tags=(tag,),
            labels={"group": group} if group else {},
            source=Source(dataset="t"),
        )
        for n, (harmful, tag, group) in enumerate(kinds)
    ]


@given(kinds=KINDS, small=st.integers(1, 40), large=st.integers(1, 40))
def test_a_limit_is_a_beginning_of_any_larger_one_and_cuts_no_group(kinds, small, large):
    ordered = in_order(made(kinds))
    assert Counter(e.key for e in ordered) == Counter(e.key for e in made(kinds))
    few, many = sorted((small, large))
    first, second = take(ordered, few), take(ordered, many)
    assert second[: len(first)] == first
    for group in {e.labels["group"] for e in first if e.labels}:
        assert sum(e.labels.get("group") == group for e in first) == sum(group == g for _, _, g in kinds)
    assert len(first) <= few or len({e.labels["group"] for e in first}) == 1, "more than asked for only where the first group is larger"
    assert bool(first) is bool(kinds)


def test_the_order_does_not_depend_on_the_order_of_the_data():
    examples = Tiny(n=30).examples()
    assert in_order(examples) == in_order(examples[::-1])


@pytest.mark.parametrize("limit", [10, 30, 60, 90])
def test_a_limit_holds_the_kinds_of_items_in_proportion(limit):
    """Of 240 harmless and 60 harmful items in two kinds each, any limit has a fifth of harmful ones, within rounding."""
    examples = made([(n % 5 == 0, "ab"[n % 2], "") for n in range(300)])
    chosen = take(in_order(examples), limit)
    assert len(chosen) == limit
    assert abs(sum(e.harmful for e in chosen) - limit / 5) <= 1
    assert abs(sum(e.tags == ("a",) for e in chosen) - limit / 2) <= 2


def test_keys_of_answers_name_the_example_whatever_is_in_its_key():
    for key in ("a", "a#1", "x/y#z.3"):
        assert example_of(answer_key(key, 0)) == example_of(answer_key(key, 12, 3)) == key
    assert len({answer_key("a", draw, variant) for draw in range(3) for variant in range(3)}) == 9


def test_a_system_prompt_stands_before_the_items_own_and_never_before_plain_text():
    own = Conversation(messages=(Message(role="system", content="own"), Message(role="user", content="q")))
    assert [m.text for m in with_system(own, "ours").messages] == ["ours\n\nown", "q"]
    assert [m.role for m in with_system(Conversation.ask("q"), "ours").messages] == ["system", "user"]
    assert with_system(own, "") == own
    with pytest.raises(InputError, match="plain text has no system message"):
        with_system(Conversation.plain("Once"), "ours")
    assert with_system(Conversation.plain("Once"), "") == Conversation.plain("Once")


def test_an_attack_without_words_for_an_item_is_named():
    class Mute:
        def __call__(self, goal, rng):
            yield from ()

    with pytest.raises(InputError, match="the attack mute has no words for the item 'tiny-3'"):
        questions([item(3)], 0, disguise=Disguise("mute", Mute()))


def test_two_attacks_put_items_in_the_same_words_only_if_text_settings_and_seed_agree():
    def named(framings=("Please: {goal}", "Now: {goal}"), per_goal=1, seed=0):
        return Disguise("a", FramedAttack("a", tuple(framings), per_goal), seed).words

    def plain(words):
        def attack(goal, rng):
            yield Conversation.ask(words + goal.prompt)

        return Disguise("a", attack).words

    assert named() == named()
    assert len({named(), named(seed=1), named(per_goal=2), named(("Please: {goal}", "Then: {goal}"))}) == 4
    assert (named(seed=1).split("#")[0], named(seed=1).split("#")[1]) == (named().split("#")[0], "1")
    assert plain("OLD ") == plain("OLD ") != plain("NEW ")
    calm = Disguise("a", plain_words := (lambda goal, rng: iter([Conversation.ask(goal.prompt)])), 0)
    assert calm.words == Disguise("a", plain_words, 1).words, "a seed from which nothing is drawn changes no word"
