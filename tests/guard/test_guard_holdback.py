"""Streams: no character is out before every output rail approved past it, at any way of splitting, and what comes out is exactly what was said."""

from __future__ import annotations

import asyncio
import itertools
import random
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from charter.core.rows import Conversation
from charter.guard.holdback import Approval, AsyncHoldBack, HoldBack, Window
from charter.guard.policy import StreamPolicy

HOLD = 24
POLICY = StreamPolicy(hold_chars=HOLD, window_chars=40, window_ms=1000)
#: Words, numbers, entities of many shapes, emoji with joiners, combining marks, scripts without spaces, line breaks, odd spaces, zero-width padding.
BITS = (
    "the roses need sun. ", "Prune in March! ", "Why? ", "42 ", "item\n\n- ", "état ", "e\u0301te\u0301 ", "👩‍👩‍👧 ",
    "🏴\U000e0067\U000e0062\U000e007f ", "日本語の文です。", "ไม่มีช่องว่าง", "a\u200bb ", "   ", "\t", "x" * 30 + " ", '{"a": 1}',
    "key=", "https://example.org/a?b=c ", "-- ", "1,234.56 ", "(see below) ", "\r\n", "ﬁn ", "א ב ",
)  # fmt: skip
ENTITIES = ("jane@example.com", "4111 1111 1111 1111", "DE44 5001 0517 5407 3249", "hush hush", "sk-" + "a1B2" * 12, "+1 415 555 0132", "密码是红色")


class Log:
    """An approver that remembers what it approved, and knows the entities in a text."""

    def __init__(self, entities=(), mask=False):
        self.entities, self.mask, self.approved, self.final = entities, mask, 0, False

    def __call__(self, text, final):
        found = [(m.start(), m.end()) for e in self.entities for m in re.finditer(re.escape(e), text)]
        if found and not self.mask:
            return Approval(False)
        self.approved, self.final = max(self.approved, len(text)), self.final or final
        return Approval(True, tuple((a, b, "<HIDDEN>") for a, b in found))


def split(text, rng, kind):
    if kind == "each":
        return list(text)
    cuts = sorted({0, len(text), *(rng.randrange(len(text) + 1) for _ in range({"two": 1, "few": 4, "many": 40}[kind]))})
    return [text[a:b] for a, b in itertools.pairwise(cuts)]


def streams(count, seed, entity):
    """(text, place of the entity or None, pieces): generated replies with at most one entity, and a way to split each."""
    rng = random.Random(seed)
    for n in range(count):
        before = "".join(rng.choice(BITS) for _ in range(rng.randrange(0, 30)))
        after = "".join(rng.choice(BITS) for _ in range(rng.randrange(0, 30)))
        word = rng.choice(ENTITIES) if entity else ""
        text = f"{before} {word} {after}" if word else before + after
        yield text, (len(before) + 1, word) if word else None, split(text, rng, ("each", "two", "few", "many")[n % 4])


@pytest.mark.parametrize("seed", range(5))
def test_nothing_is_out_that_was_not_approved(seed):
    """1,000 streams each: after every push, what is out is a prefix, and the approved text reaches at least the hold past it."""
    for text, _, pieces in streams(1000, seed, entity=False):
        log = Log()
        stream = HoldBack(log, POLICY)
        out = ""
        for piece in pieces:
            out += stream.push(piece)
            assert text.startswith(out)
            assert len(out) <= max(0, log.approved - HOLD), "at least the hold is approved past what is out"
        out += stream.finish()
        assert out == text
        assert not text or log.final


@pytest.mark.parametrize("seed", range(5))
def test_no_part_of_a_split_entity_is_out(seed):
    """1,000 streams each with one forbidden thing, of up to 50 characters: not one character of it is ever out, however it was split."""
    for text, (start, word), pieces in streams(1000, 100 + seed, entity=True):
        log = Log((word,))
        stream = HoldBack(log, POLICY, hold_chars=len(word))
        out = "".join(map(stream.push, pieces)) + stream.finish()
        assert stream.stopped
        assert stream.window.why == "blocked"
        assert len(out) <= start, (text, word, out)
        assert text.startswith(out)
        assert stream.push("more") == stream.finish() == stream.tick() == "", "a stopped stream stays stopped"


@pytest.mark.parametrize("seed", range(5))
def test_masks_are_whole_wherever_the_text_was_split(seed):
    """500 streams each: what comes out is the text with every entity replaced, never a piece of one."""
    for text, (_, word), pieces in streams(500, 200 + seed, entity=True):
        stream = HoldBack(Log((word,), mask=True), POLICY, hold_chars=len(word))
        out = "".join(map(stream.push, pieces)) + stream.finish()
        assert out == text.replace(word, "<HIDDEN>")


def test_every_two_way_split_of_a_stream():
    text = "It grows here. " * 8 + "write to jane@example.com today. " + "It grows there. " * 8
    for cut in range(len(text) + 1):
        stream = HoldBack(Log(("jane@example.com",)), POLICY)
        out = stream.push(text[:cut]) + stream.push(text[cut:]) + stream.finish()
        assert len(out) <= text.index("jane")


@settings(max_examples=100)
@given(st.lists(st.text(max_size=20), max_size=12), st.integers(1, 60), st.sampled_from(["window", "full"]))
def test_any_text_comes_out_as_it_went_in(pieces, hold, mode):
    """Also lone surrogates, controls, and whatever else hypothesis thinks of."""
    stream = HoldBack(Log(), StreamPolicy(hold_chars=hold, window_chars=20), mode=mode)
    assert "".join(map(stream.push, pieces)) + stream.finish() == "".join(pieces)


def test_both_drivers_do_the_same():
    async def drive(pieces):
        log = Log()

        async def approve(text, final):
            await asyncio.sleep(0)
            return log(text, final)

        stream = AsyncHoldBack(approve, POLICY)
        stream.clock = lambda: 0.0
        return [await stream.push(piece) for piece in pieces] + [await stream.finish()]

    for _, _, pieces in streams(50, 7, entity=False):
        stream = HoldBack(Log(), POLICY)
        stream.clock = lambda: 0.0
        assert asyncio.run(drive(pieces)) == [*map(stream.push, pieces), stream.finish()]


def test_an_unfinished_token_is_held_whole_however_long():
    """A bearer token of 5,000 characters has no pattern end in sight: nothing of it leaves before it is over."""
    stream = HoldBack(Log(), StreamPolicy(hold_chars=8, window_chars=10, growth=0.0))
    out = stream.push("The token is ") + "".join(stream.push("aB3-" * 5) for _ in range(250))
    assert "The token is ".startswith(out)
    assert "aB3-" in stream.push(" and that was it. So it goes on. ")


def test_padding_does_not_shorten_the_hold():
    """Zero-width characters and spaces between letters are not counted: 'h u s h' padded to 200 characters is still held."""
    word = "\u200b" * 20 + ("\u200b" * 20).join("hush")
    stream = HoldBack(Log((word,)), StreamPolicy(hold_chars=16, window_chars=5))
    lead = "So they said to me. " * 5
    out = "".join(map(stream.push, lead + word + " and more of it. " * 5))
    assert stream.stopped
    assert len(out) <= len(lead)


def test_when_a_check_is_due():
    window = Window(StreamPolicy(hold_chars=4, window_chars=80, window_ms=400, growth=0.5))
    window.add("Hello", 0.0)
    assert window.due(0.1) is None
    assert window.due(0.4).text == "Hello", "after the time, whatever there is"
    assert window.due(0.9) is None, "nothing new, nothing to check"
    window.add(" there. How", 0.9)
    assert window.due(0.91).text == "Hello there. How", "a sentence has ended"
    window.add("x" * 79, 1.0)
    assert window.due(1.0) is None
    window.add("y", 1.0)
    assert window.due(1.0) is not None, "a window's worth of text"
    assert Window(StreamPolicy(), mode="full").due(1e9) is None


@pytest.mark.parametrize(("hold", "soon_s"), [(96, {0.02: 0.4, 0.05: 1.2, 0.1: 2.2, 0.2: 4.0}), (24, {0.02: 0.4, 0.05: 0.4, 0.1: 0.4, 0.2: 0.8})])
def test_how_soon_the_first_text_leaves_is_what_the_guards_page_says(hold, soon_s):
    for token_s, wanted_s in soon_s.items():
        now = 0.0
        stream = HoldBack(Log(), StreamPolicy(hold_chars=hold))
        stream.clock = lambda: now  # noqa: B023
        tokens = 0
        while not stream.push("word "):
            tokens += 1
            now = tokens * token_s
        assert now == pytest.approx(wanted_s)


def test_the_number_of_checks_grows_slowly():
    """With growth, checks of a reply of n characters cost about n together, not n squared."""
    log = Log()
    stream = HoldBack(log, StreamPolicy(window_chars=100, growth=0.2))
    stream.clock = lambda: 0.0
    for _ in range(2000):
        stream.push("Ten chars. ")
    assert stream.window.checks < 40


def test_full_mode_waits_for_the_end():
    stream = HoldBack(Log(), POLICY, mode="full")
    assert [stream.push("A sentence. ") for _ in range(50)] == [""] * 50
    assert stream.finish() == "A sentence. " * 50


def test_async_mode_is_a_bypass_that_stops_late():
    stream = HoldBack(Log(("hush",)), POLICY, mode="async")
    assert stream.push("Do not say hush to a") == "Do not say hush to a"
    assert stream.window.bypass == ("stream: async",)
    for _ in range(10):
        stream.push("nybody here today. ")
    assert stream.stopped
    assert stream.push("x") == ""
    assert HoldBack(Log(), POLICY).window.bypass == ()


def test_a_check_that_breaks_lets_nothing_out():
    def broken(text, final):
        raise RuntimeError

    stream = HoldBack(broken, POLICY)
    assert "".join(stream.push("A sentence here. ") for _ in range(20)) + stream.finish() == ""
    assert (stream.stopped, stream.window.why) == (True, "error")


def test_a_mask_over_text_that_is_out_stops_the_stream():
    """A rail that changes its mind about released text cannot take it back: nothing more comes out."""
    stream = HoldBack(lambda text, final: Approval(True, ((0, 5, "<X>"),) if len(text) > 150 else ()), StreamPolicy(hold_chars=4, window_chars=20))
    out = "".join(stream.push("A sentence here. ") for _ in range(20))
    assert 0 < len(out) < 170
    assert stream.window.why == "mask"


def test_an_endless_reply_is_stopped():
    stream = HoldBack(Log(), StreamPolicy(max_chars=1000), mode="full")
    for _ in range(100):
        stream.push("A sentence here. ")
    assert stream.finish() == ""
    assert stream.window.why == "too long"


def test_late_answers_to_older_probes_are_harmless():
    window = Window(StreamPolicy(hold_chars=2, window_chars=10))
    window.add("One two three. ", 0.0)
    first = window.due(0.0)
    window.add("Four five six. ", 0.0)
    second = window.due(0.0)
    out = window.settle(second, Approval(True))
    assert window.settle(first, Approval(True)) == ""
    assert window.settle(first, Approval(False)) == ""
    assert out == "One two three. Four five six"
    assert window.stopped, "but a late no is still a no"


def test_a_guard_streams_through_its_rails(fakes, talk):
    guard = fakes.guard({"a": fakes.finds("hush hush")}, stream={"hold_chars": 12, "window_chars": 20})
    stream = guard.holdback(talk)
    out = "".join(map(stream.push, "It is all well known, they say it aloud. But hush hush about that. And so on."))
    assert stream.stopped
    assert stream.window.checked.by == ("a",)
    assert out == "It is all well known, they say it aloud. But "[: len(out)]


def test_a_guard_that_masks_streams_whole_unless_told_otherwise(fakes, talk):
    full = fakes.guard({"a": fakes.finds("hush", "TERM")}, {"action": "mask"})
    assert full.holdback(talk).window.mode == "full"
    guard = fakes.guard({"a": fakes.finds("hush", "TERM")}, {"action": "mask"}, stream={"masked": "window", "hold_chars": 12, "window_chars": 30})
    stream = guard.holdback(talk)
    said = "It is well known and said. Say hush to it, and hush again. Nothing more of it is known here."
    out = [*map(stream.push, said), stream.finish()]
    assert "".join(out) == said.replace("hush", "<TERM>")
    assert sum(map(bool, out)) > 1
    assert Conversation.ask("x") != talk


def test_a_check_before_the_end_reads_the_end_of_the_reply(fakes, talk):
    """The cost of a check does not grow with the reply; what is not out yet is always in it, and the last check reads everything."""
    read = []

    def rail(conversation, stage):
        read.append(conversation.reply)
        return fakes.verdict("safe", 0.0)

    guard = fakes.guard({"a": rail}, stream={"hold_chars": 10, "window_chars": 50, "context_chars": 200, "growth": 0.0})
    stream = guard.holdback(talk)
    said = "".join(f"Sentence number {n} of the reply. " for n in range(100))
    out = ""
    for at in range(0, len(said), 7):
        before = len(out)
        count = len(read)
        out += stream.push(said[at : at + 7])
        assert all(said[: at + 7].endswith(text) and len(said[: at + 7]) - len(text) <= before for text in read[count:])
    assert max(map(len, read)) < 300
    assert out + stream.finish() == said
    assert read[-1] == said


@pytest.mark.parametrize("context", [100, 150, 400])
def test_masking_does_not_stumble_over_where_a_check_begins(fakes, talk, context):
    """An entity that is out already may stand across the beginning of a later check: its rest looks like another one."""
    settings = {"masked": "window", "hold_chars": 20, "window_chars": 30, "context_chars": context, "growth": 0.0}
    guard = fakes.guard({"a": fakes.finds("ab", "TERM")}, {"action": "mask"}, stream=settings)
    for seed in range(30):
        rng = random.Random(seed)
        said = "".join(rng.choice(["ab ", "abab ", "some words. ", "cd "]) for _ in range(150))
        stream = guard.holdback(talk)
        out = "".join(stream.push(piece) for piece in split(said, rng, "many")) + stream.finish()
        assert not stream.stopped, stream.window.why
        assert out == said.replace("ab", "<TERM>")
