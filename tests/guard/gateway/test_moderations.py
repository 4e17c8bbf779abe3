from __future__ import annotations

import asyncio
import math
import os
import threading
import time
from collections.abc import Sequence
from typing import Any

import pytest
from openai.types import Moderation, ModerationCreateResponse

from charter.guard.gateway import moderation
from charter.guard.gateway.config import GatewayConfig
from charter.guard.gateway.gate import OpenGate
from charter.guard.gateway.local import LocalCall
from charter.guard.gateway.moderation import BROADER, MOST_CHARS, NEEDED, ModerationError, Moderator, shipped
from charter.guard.gateway.pipeline import Services
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


def test_a_category_is_flagged_wherever_a_narrower_one_is() -> None:
    points = POINTS | {"violence": 0.01}  # so the product that makes harassment/threatening is reached, and harassment's own threshold is not
    by = Moderator(lambda texts: [dict.fromkeys(NEEDED, 0.0) | {"harassment": 0.3, "violence": 0.9} for _ in texts], points, "fake")
    [found] = respond("x", by)["results"]
    assert found["category_scores"]["harassment"] == 0.3
    assert {name for name, flagged in found["categories"].items() if flagged} == {"harassment", "harassment/threatening", "violence"}
    assert all(broader in OPENAI_CATEGORIES for broader in BROADER.values())


def test_every_answer_names_what_nobody_measured() -> None:
    sent: list[Any] = []
    asked = [{"type": "http.request", "body": b'{"input": "one"}'}]

    async def receive() -> dict[str, Any]:
        if not asked:
            await asyncio.Event().wait()
        return asked.pop()

    async def send(message: Any) -> None:
        sent.append(message)

    services = Services(GatewayConfig.model_validate({"audit": {"mode": "off"}}), {}, None, OpenGate())  # type: ignore[arg-type]
    scope = {"type": "http", "method": "POST", "path": "/v1/moderations", "headers": [(b"content-type", b"application/json")]}
    surface: Any = Moderations(moderator)
    asyncio.run(LocalCall(services, surface, scope, receive, send).run())
    assert sent[0]["status"] == 200
    assert dict(sent[0]["headers"])[b"x-moderation-not-measured"] == b"sexual/minors"


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


def test_who_waits_no_longer_does_not_make_room_for_another_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    """As many threads as before are at work after any number of time-outs, and the loop's own threads are not among them."""
    monkeypatch.setattr(moderation, "processors", lambda: 3)
    go, lock, inside, most = threading.Event(), threading.Lock(), [0], [0]

    def hang(texts: Sequence[str]) -> list[dict[str, float]]:
        with lock:
            inside[0] += 1
            most[0] = max(most[0], inside[0])
        go.wait(20)
        with lock:
            inside[0] -= 1
        return [dict.fromkeys(NEEDED, 0.0) for _ in texts]

    async def ask() -> tuple[list[str], int, int]:
        before = set(threading.enumerate())
        made = Moderator(hang, POINTS, "fake", timeout_s=0.3)
        told = []
        for _ in range(3):
            results = await asyncio.gather(*(made.results(["x"]) for _ in range(4)), return_exceptions=True)
            told += [type(result).__name__ for result in results]
        names = [thread.name for thread in threading.enumerate() if thread not in before]
        go.set()
        assert [result["flagged"] for result in await _soon(made, ["x"])] == [False], "its threads are free again"
        return told, most[0], sum(name.startswith("asyncio_") for name in names)

    assert asyncio.run(ask()) == (["ModerationError"] * 12, 2, 0)


async def _soon(made: Moderator, texts: Sequence[str]) -> list[dict[str, Any]]:
    """What it says once it has time."""
    for _ in range(50):
        try:
            return await made.results(texts)
        except ModerationError:
            await asyncio.sleep(0.1)
    raise AssertionError("the moderator has no time")


def test_nothing_more_is_read_for_who_waits_no_longer() -> None:
    read: list[int] = []

    def slow(texts: Sequence[str]) -> list[dict[str, float]]:
        read.append(len(texts))
        time.sleep(0.3)
        return [dict.fromkeys(NEEDED, 0.0) for _ in texts]

    async def ask() -> None:
        with pytest.raises(ModerationError):
            await Moderator(slow, POINTS, "fake", timeout_s=0.1).results(["x"] * 256)
        await asyncio.sleep(0.5)

    asyncio.run(ask())
    assert sum(read) < 64


def test_more_characters_than_can_be_scored_in_time_are_refused() -> None:
    assert read({"input": "x" * MOST_CHARS})
    for given in ("x" * (MOST_CHARS + 1), ["x" * (MOST_CHARS // 2 + 1)] * 2):
        with pytest.raises(BadRequestError) as error:
            read({"input": given})
        assert (error.value.status, error.value.code) == (413, "request_too_large")
    with pytest.raises(ModerationError):  # the parameter of chat and responses: told as an error, or withheld
        asyncio.run(moderator().results(["x" * (MOST_CHARS + 1)]))


def test_the_loops_own_threads_are_not_needed() -> None:
    """They may all be taken, by reports that wait for the database for example."""
    go = threading.Event()

    async def ask() -> dict[str, Any]:
        loop = asyncio.get_running_loop()
        busy = [loop.run_in_executor(None, go.wait, 20) for _ in range((os.cpu_count() or 1) + 4)]
        try:
            return await asyncio.wait_for(Moderations(moderator).respond({"input": "x"}), 10)
        finally:
            go.set()
            await asyncio.gather(*busy)

    assert asyncio.run(ask())["model"] == "fake"


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
