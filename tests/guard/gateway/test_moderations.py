from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Sequence
from typing import Any

import pytest
from openai.types import Moderation, ModerationCreateResponse

from charter.guard.gateway.moderation import NEEDED, ModerationError, Moderator, shipped
from charter.guard.gateway.surfaces._surface import BadRequestError
from charter.guard.gateway.surfaces.moderations import Moderations, read
from charter.guard.gateway.wire.errors import GatewayError
from charter.judges._heads import OPENAI_CATEGORIES

POINTS = dict.fromkeys((*NEEDED, "moderation", "hazard"), 0.5)


def moderator(**heads: float) -> Moderator:
    """Scores every text as ``heads`` say, 0 where they say nothing."""
    return Moderator(lambda texts: [dict.fromkeys(NEEDED, 0.0) | heads for _ in texts], POINTS, "fake")


def respond(given: Any, by: Moderator) -> dict[str, Any]:
    return asyncio.run(Moderations(lambda: by).respond({"input": given}))


@pytest.mark.parametrize(
    ("given", "texts"),
    [
        ("one", ["one"]),
        (["one", "two"], ["one", "two"]),
        ([{"type": "text", "text": "one"}, {"type": "text", "text": "two"}], ["one\ntwo"]),
    ],
)
def test_text_lists_and_parts_are_read(given: Any, texts: list[str]) -> None:
    assert read({"input": given}) == texts


@pytest.mark.parametrize(
    "given",
    [
        None,
        7,
        "",
        "  ",
        [],
        ["one", ""],
        ["one", 2],
        [{"type": "image_url", "image_url": {"url": "x"}}],
        [{"type": "text"}],
        {"text": "x"},
        ["x"] * 257,
    ],
)
def test_what_cannot_be_scored_is_refused(given: Any) -> None:
    with pytest.raises(BadRequestError):
        read({"input": given})


def test_the_answer_is_the_sdks_to_the_letter() -> None:
    answer = respond(["one", "two"], moderator(hate=0.9))
    found = ModerationCreateResponse.model_validate(answer)
    assert len(found.results) == 2
    for result in answer["results"]:
        for name in ("categories", "category_scores", "category_applied_input_types"):
            assert list(result[name]) == list(OPENAI_CATEGORIES)
        Moderation.model_validate(result, strict=True)
    assert found.results[0].flagged
    assert found.results[0].categories.hate
    assert not found.results[0].categories.hate_threatening


def test_a_narrow_category_needs_all_that_makes_it() -> None:
    categories = respond("x", moderator(hate=0.9, violence=0.9))["results"][0]["categories"]
    assert {name for name, flagged in categories.items() if flagged} == {"hate", "hate/threatening", "violence"}
    assert not respond("x", moderator())["results"][0]["flagged"]


@pytest.mark.parametrize(
    "read_",
    [
        lambda texts: [],
        lambda texts: [{"hate": 0.0}],
        lambda texts: [dict.fromkeys(NEEDED, 0.0) | {"hate": math.nan}],
        lambda texts: [dict.fromkeys(NEEDED, 0.0) | {"hate": 1.5}],
        lambda texts: 1 / 0,
    ],
)
def test_what_went_wrong_is_an_error_and_never_unflagged(read_: Any) -> None:
    with pytest.raises(GatewayError) as error:
        respond("x", Moderator(read_, POINTS, "fake"))
    assert (error.value.status, error.value.code) == (503, "moderation_failed")


def test_a_moderator_that_hangs_is_an_error() -> None:
    def hang(texts: Sequence[str]) -> list[dict[str, float]]:
        time.sleep(0.5)
        return [dict.fromkeys(NEEDED, 0.0) for _ in texts]

    with pytest.raises(ModerationError):
        asyncio.run(Moderator(hang, POINTS, "fake", timeout_s=0.05).results(["x"]))


@pytest.mark.parametrize("trouble", [ModerationError("no weights"), OSError("a path")])
def test_a_moderator_that_cannot_be_built_is_an_error(trouble: Exception) -> None:
    def broken() -> Moderator:
        raise trouble

    with pytest.raises(GatewayError) as error:
        asyncio.run(Moderations(broken).respond({"input": "x"}))
    assert error.value.code == "moderation_failed"
    assert "a path" not in error.value.message


def test_the_shipped_moderator_tells_insults_from_recipes() -> None:
    answer = respond(
        ["You are a worthless idiot and everybody hates you.", "Whisk the eggs with sugar until pale, then fold in the flour."], shipped()
    )
    insult, recipe = answer["results"]
    assert insult["flagged"]
    assert insult["categories"]["harassment"]
    assert not recipe["flagged"]
    assert answer["model"].startswith("charter-classifier-")
