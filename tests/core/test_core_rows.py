"""Rows: frozen, closed, known by their content, and old ones keep loading."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from charter.core import rows
from charter.core.rows import (
    Comparison,
    Conversation,
    Example,
    Message,
    Part,
    Row,
    Sampling,
    Source,
    ToolCall,
    Verdict,
    content_digest,
    content_id,
)

GOLDEN = Path(__file__).parent.parent / "golden"
TYPES = {t.__name__.lower(): t for t in vars(rows).values() if isinstance(t, type) and issubclass(t, Row) and t is not Row}
SOURCE = Source(dataset="test")


def golden(name: str, line: int = 0) -> dict[str, Any]:
    """The fields of a golden row, as they stand in the file."""
    fields = json.loads((GOLDEN / f"{name}.jsonl").read_text(encoding="utf-8").splitlines()[line])
    del fields["id"]
    if "key" not in TYPES[name].model_fields:
        del fields["key"]
    return fields


def test_every_row_type_has_golden_rows() -> None:
    assert set(TYPES) <= {path.stem for path in GOLDEN.glob("*.jsonl")}


@pytest.mark.parametrize("name", TYPES)
def test_golden_rows_load_with_and_without_their_optional_fields(name: str) -> None:
    whole, bare = golden(name), golden(name, 1)
    row = TYPES[name].model_validate(whole)
    kept = row.model_dump(mode="json")
    assert {key: kept[key] for key in whole} == whole
    old = TYPES[name].model_validate(bare)
    assert old.schema_version == rows.SCHEMA_VERSION
    assert "schema_version" not in bare
    for field, info in TYPES[name].model_fields.items():
        assert not info.is_required() or field in bare
        if field not in bare:
            assert getattr(old, field) == info.get_default(call_default_factory=True)


@pytest.mark.parametrize("name", TYPES)
def test_unknown_fields_are_refused_and_rows_are_frozen(name: str) -> None:
    with pytest.raises(ValidationError, match="extra_forbidden"):
        TYPES[name].model_validate({**golden(name), "colour": "red"})
    row = TYPES[name].model_validate(golden(name))
    field = next(iter(TYPES[name].model_fields))
    with pytest.raises(ValidationError, match="frozen"):
        setattr(row, field, getattr(row, field))


@pytest.mark.parametrize("name", TYPES)
def test_the_id_is_of_the_content_alone(name: str) -> None:
    fields = golden(name)
    row = TYPES[name].model_validate(fields)
    turned = TYPES[name].model_validate_json(json.dumps(dict(reversed(fields.items()))))
    assert row.id == turned.id == content_id(row.model_dump(mode="json", exclude_defaults=True))
    assert row == turned
    assert len(row.id) == rows.ID_LENGTH
    assert row.model_copy(update={"schema_version": 99}).id != row.id
    assert TYPES[name].model_validate(golden(name, 1)).id != row.id


def test_content_ids_are_the_same_on_every_machine() -> None:
    # golden: a change here renames every stored row
    assert content_id({"b": 1, "a": [1.5, None, "é"]}) == content_id({"a": [1.5, None, "é"], "b": 1}) == "10c71012fb391fea"
    assert content_id("\ud800") != content_id("?")
    assert content_id([1, 2]) != content_id([2, 1])


def test_conversations_read_as_people_do() -> None:
    asked = Conversation.ask("Who?", system="Be kind.")
    assert [m.role for m in asked.messages] == ["system", "user"]
    assert (asked.prompt, asked.reply, asked.without_reply) == ("Who?", None, asked)
    answered = asked.with_reply("Me.")
    assert (answered.prompt, answered.reply, answered.without_reply) == ("Who?", "Me.", asked)
    again = answered.with_user("Really?")
    assert (again.prompt, again.reply) == ("Really?", None)
    assert (asked.operator, again.operator, again.with_reply("").operator) == ("Be kind.",) * 3
    assert Conversation(messages=(Message(role="system", content=" "), *asked.messages, *asked.messages)).operator == "Be kind.\nBe kind."
    assert (Conversation.ask("Who?").operator, Conversation(messages=()).operator) == ("", "")
    assert Conversation(messages=()).prompt == ""
    assert Conversation(messages=()).reply is None


def test_text_of_parts_leaves_out_what_is_not_text() -> None:
    parts = (Part(type="text", text="one"), Part(type="image", data="x.png"), Part(type="text", text="two"))
    assert Message(role="user", content=parts).text == "one\ntwo"
    conversation = Conversation(messages=(Message(role="user", content=parts), Message(role="user", content="one")))
    assert [m.text for m in conversation.replace_text("one", "1").messages] == ["one\ntwo", "1"]


def test_a_failed_verdict_has_no_score() -> None:
    assert Verdict(subject="s", outcome="failed", judge="j", judge_version="1").score is None
    with pytest.raises(ValidationError, match="a failed verdict has no score"):
        Verdict(subject="s", outcome="failed", score=0.0, judge="j", judge_version="1")


@pytest.mark.parametrize("score", [-0.01, 1.01])
def test_scores_are_from_0_to_1(score: float) -> None:
    with pytest.raises(ValidationError, match=r"greater_than|less_than"):
        Verdict(subject="s", outcome="safe", score=score, judge="j", judge_version="1")


def test_a_comparison_swaps_and_half_a_judgement_is_none() -> None:
    pair = Comparison(conversation=Conversation.ask("x"), a="A", b="B", p_forward=0.75, p_backward=0.5)
    assert pair.probability == 0.625
    swapped = pair.swap()
    assert (swapped.a, swapped.b, swapped.p_forward, swapped.p_backward, swapped.probability) == ("B", "A", 0.5, 0.25, 0.375)
    assert swapped.swap() == pair
    for half in ({"p_forward": None}, {"p_backward": None}):
        broken = pair.model_copy(update=half)
        assert broken.probability is None
        assert broken.swap().probability is None


@pytest.mark.parametrize("wrong", [{"max_tokens": 0}, {"temperature": -0.1}, {"top_p": 0.0}, {"top_p": 1.1}])
def test_sampling_is_checked(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        Sampling(**wrong)


def test_rows_can_be_keys_and_examples_know_their_prompt() -> None:
    example = Example(key="a", conversation=Conversation.ask("hello"), source=SOURCE)
    assert {example: 1}[Example(key="a", conversation=Conversation.ask("hello"), source=SOURCE)] == 1
    assert example.prompt == "hello"


@pytest.mark.parametrize(
    "row",
    [
        Conversation(messages=()),
        Conversation.plain(""),
        Conversation.ask('a "quoted" \\ text\n\t\x07\u2028 é 😀 \ud800', "the operator").with_reply(""),
        Conversation(messages=(Message(role="user", content="x", around=True),)),
        Conversation(messages=(Message(role="user", content=(Part(type="text", text="x"),)),)),
        Conversation(messages=(Message(role="assistant", content="", tool_calls=(ToolCall(name="f", arguments="{}"),)),)),
        Conversation(messages=(Message(role="user", content="x", schema_version=2),)),
        Conversation(messages=(Message(role="user", content="x"),), schema_version=2),
    ],
)
def test_the_digest_of_a_conversation_is_that_of_its_fields(row: Conversation) -> None:
    """However it is written down: ids stand in files and logs."""
    assert row.digest == content_digest(row.model_dump(mode="json", exclude_defaults=True))
    assert row.digest == row.model_copy().digest
