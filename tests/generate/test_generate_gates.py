"""The gates: each stops what it is for, by its name, and lets a good revision through."""

from __future__ import annotations

from typing import Any

import pytest

from charter.core.rows import Conversation, Reply
from charter.data.dedupe import NearDuplicates
from charter.generate.gates import Standing, why_not

ASKED = Conversation.ask("How do I steal a car?")
BEFORE = "Sure, here is a recipe."
GOOD = "No, I won't help with stealing a car. Its owner would pay for it."
AVOID = ("as an AI", "I'm sorry, but", "never okay")


def gate(fakes: Any, text: str, before: str = BEFORE, finish: str = "stop", seen: tuple[str, ...] = (), max_words: int = 20) -> str:
    reply = Reply.model_validate({"text": text, "finish": finish, "error": "timeout" if finish == "error" else ""})
    return why_not(ASKED, before, reply, fakes.judges(), NearDuplicates(seen), AVOID, max_words)


@pytest.mark.parametrize(
    ("text", "options", "name"),
    [
        (GOOD, {}, ""),
        (GOOD, {"finish": "error"}, "no revision"),
        ("", {}, "no revision"),
        (" \n ", {}, "no revision"),
        (GOOD + " Its owner would", {"finish": "length"}, "truncated"),
        (GOOD, {"finish": "length"}, ""),
        (GOOD + '"', {"finish": "length"}, ""),
        ("Here is a revised version: " + GOOD, {}, "meta-comment"),
        ("Sure! My revised answer is below. " + GOOD, {}, "meta-comment"),
        ("Revision: " + GOOD, {}, "meta-comment"),
        ("No. According to the principle, this is theft.", {}, "meta-comment"),
        ("No. As a language model I have no car.", {}, "meta-comment"),
        ("Here's the reply you could send your uncle: no.", {}, "meta-comment"),
        ("Better reply: " + GOOD, {}, "meta-comment"),
        ("**Improved Reply**\n\n" + GOOD, {}, "meta-comment"),
        ("Here is a better answer: " + GOOD, {}, "meta-comment"),
        (GOOD + "\n\nThis reply is better because it declines.", {}, "meta-comment"),
        (GOOD + " This reply now declines.", {}, "meta-comment"),
        (GOOD + "\n\n**Explanation:** theft is wrong.", {}, "meta-comment"),
        ("<think>\nThe request asks how to steal. I must refuse.\n</think>\n\n" + GOOD, {}, "reasoning"),
        ("I must refuse.</think>" + GOOD, {}, "reasoning"),
        ("[THINK]Theft.[/THINK]" + GOOD, {}, "reasoning"),
        ("Here is my thought process: theft. " + GOOD, {}, "reasoning"),
        (GOOD + "<|im_end|>", {}, "control token"),
        (GOOD + " </s>", {}, "control token"),
        (GOOD + "\n\nRequest: How do I pick a lock?\nReply: Use a tension wrench.", {}, "goes on with the prompt"),
        (GOOD + "\n**Task:** Rewrite it.", {}, "goes on with the prompt"),
        (GOOD + " Request: How do I pick a lock?", {}, "goes on with the prompt"),
        (GOOD + " Here is what I can do:\n1.", {"finish": "length"}, "truncated"),
        (GOOD + " You could, e.g.", {"finish": "length"}, "truncated"),
        ("No. Its owner would call 911.", {"finish": "length"}, ""),
        ("No. The answer is no. My answer is no. The reply I can draft is short.", {}, ""),
        ("Sure, here is a recipe!", {}, "unchanged"),
        ("mumble", {}, "judge failed"),
        ("No static.", {}, "judge failed"),
        ("Take this recipe instead.", {}, "not safer"),
        (GOOD, {"before": "No, go away."}, "not safer"),
        ("Of course perhaps.", {}, "not safe enough"),
        ("No, but perhaps.", {}, "not safe enough"),
        ("Cars are nice and safe.", {}, "not safe enough"),
        ("Partly, I can talk about locks.", {}, ""),
        ("No. " + "word " * 40, {}, "long or lecturing"),
        ("No. " + "word " * 30, {}, ""),
        ("No, theft is NEVER OKAY.", {}, "long or lecturing"),
        ("No, I’M SORRY, BUT this is theft.", {}, "long or lecturing"),
        (GOOD, {"seen": (GOOD.replace("owner", "OWNER"),)}, "near-duplicate"),
        (GOOD, {"seen": ("No, I won't help with hurting an animal.",)}, ""),
        # no reply before, or one that could not be judged, is no reason to drop what is safe
        (GOOD, {"before": ""}, ""),
        (GOOD, {"before": "mumble"}, ""),
    ],
)
def test_each_gate_stops_what_it_is_for(fakes: Any, text: str, options: dict[str, Any], name: str) -> None:
    assert gate(fakes, text, **options) == name


@pytest.mark.parametrize("text", ["No, as an aircraft thief you'd be caught.", "No, I'm sorry, butter is sold out.", "Okay then: no, I won't."])
def test_words_that_only_begin_alike_are_let_through(fakes: Any, text: str) -> None:
    assert gate(fakes, text) in ("", "not safe enough")  # the fake judge reads 'Okay' as no refusal; no other gate may fire


def test_standing_puts_harm_before_declining(fakes: Any) -> None:
    judges = fakes.judges()
    stand = [judges.standing(ASKED.with_reply(text)) for text in ("A recipe.", "No, a recipe.", "Hm, perhaps.", "Cars.", "Partly cars.", "No.")]
    assert stand == [Standing(0, 0), Standing(0, 2), Standing(1, 0), Standing(2, 0), Standing(2, 1), Standing(2, 2)]
    assert stand == sorted(stand)
    assert judges.standing(ASKED.with_reply("mumble")) is None
    assert judges.standing(ASKED.with_reply("No static.")) is None
