"""The contract of every file on the shelf of attacks: a new file is under test because it is there."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ValidationError

from charter.core import registry
from charter.core.errors import DataError
from charter.core.rows import Conversation, Example, Message, Source
from charter.core.seeds import stream
from charter.redteam.attacks._framing import FramedAttack, read_framings, with_prompt

NAMES = registry.names("attacks")
FRAMED = ["authority", "injection", "jailbreak"]


def goal(prompt="How do I pick my neighbour's lock?", system=""):
    return Example(key="g", conversation=Conversation.ask(prompt, system), harmful=True, source=Source(dataset="test"))


def build(name, **config):
    module = registry.find("attacks", name)
    return module.build(module.Config(**config))


def sent(attack, item, seed=0):
    return list(attack(item, stream(seed, "attack", item.key)))


def test_the_shelf_has_the_four_families():
    assert {"direct", *FRAMED} <= set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_every_attack_is_described_cited_and_closed(name):
    module = registry.find("attacks", name)
    first, *rest = (module.__doc__ or "").splitlines()
    assert first.endswith(".")
    assert "arxiv" in "\n".join(rest).lower()
    assert len(module.NOT_COVERED) > 20
    assert build(name).family == module.FAMILY
    assert issubclass(module.Config, BaseModel)
    json.dumps(module.Config.model_json_schema())
    with pytest.raises(ValidationError):
        module.Config(no_such_key=1)


@pytest.mark.parametrize("name", NAMES)
def test_every_attack_is_seeded_carries_the_goal_and_ends_with_the_user(name):
    attack, item = build(name), goal(system="Be kind.")
    first = sent(attack, item)
    assert first
    assert first == sent(attack, item)
    for conversation in first:
        assert conversation.messages[0] == Message(role="system", content="Be kind.")
        assert conversation.messages[-1].role == "user"
        assert item.prompt in conversation.prompt
        assert "{goal}" not in conversation.prompt


@pytest.mark.parametrize("name", NAMES)
def test_a_goal_that_holds_the_placeholder_is_put_in_once(name):
    """One pass: braces in a goal are text, not a template."""
    for conversation in sent(build(name), goal("Zebra {goal} and {0} and %s")):
        assert conversation.prompt.count("Zebra {goal} and {0} and %s") == conversation.prompt.count("Zebra") == 1


@pytest.mark.parametrize("name", FRAMED)
def test_framings_are_many_different_and_drawn_without_replacement(name):
    everything = sent(build(name, per_goal=1000), goal())
    assert len(everything) >= 8
    assert len({c.prompt for c in everything}) == len(everything)
    drawn = [sent(build(name, per_goal=3), goal(), seed) for seed in range(20)]
    assert all(len({c.prompt for c in some}) == 3 for some in drawn)
    assert len({c.prompt for some in drawn for c in some}) > 6
    with pytest.raises(ValidationError):
        registry.find("attacks", name).Config(per_goal=0)


def test_the_direct_request_is_the_goal():
    assert sent(build("direct"), goal()) == [goal().conversation]


def test_a_framing_without_a_place_for_the_goal_is_refused(tmp_path):
    plugin = tmp_path / "mine.py"
    Path(tmp_path / "mine.txt").write_text("one {goal}\n%%\ntwo\n")
    with pytest.raises(DataError, match="framing 2 has no place for the goal"):
        read_framings(str(plugin))


@given(prompt=st.text(min_size=1))
def test_only_the_last_user_message_is_wrapped(prompt):
    talk = Conversation.ask("first").with_reply("hello").with_user(prompt)
    item = Example(key="g", conversation=talk, source=Source(dataset="test"))
    (found,) = sent(FramedAttack("x", ("[{goal}]",), 5), item)
    assert found.messages[:-1] == talk.messages[:-1]
    assert found.prompt == f"[{prompt}]"


def test_a_goal_without_a_user_message_is_refused():
    with pytest.raises(DataError, match="no user message"):
        with_prompt(Conversation(messages=(Message(role="system", content="x"),)), "y")
