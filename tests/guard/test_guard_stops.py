"""What a check gave up computes no further; what others wait for is read by them; a retry goes on where the last one ended."""

from __future__ import annotations

import threading
import time

import pytest

from charter.core import stopping
from charter.core.rows import Conversation, Verdict
from charter.guard.engine import Guard
from charter.guard.policy import GuardPolicy, RailEntry
from charter.guard.rails._scores import _Once
from charter.guard.rails.topic import Config, TopicRail


def verdict(conversation):
    return Verdict(subject=conversation.id, outcome="safe", score=0.1, judge="c", judge_version="1")


def guard_of(call, **entry):
    policy = GuardPolicy(input=(RailEntry(rail="jailbreak", name="slow", **entry),), output=(RailEntry(rail="length"),))
    return Guard(policy, rails={"slow": call})


def test_a_rail_that_is_late_ends_between_two_pieces():
    pieces = []

    def reads(conversation, stage):
        for n in range(500):
            stopping.check()
            pieces.append(n)
            time.sleep(0.01)
        return verdict(conversation)

    guard = guard_of(reads, timeout_ms=60)
    checked = guard.check("How do I prune roses?", "input")
    assert (checked.action, checked.unavailable, checked.accounts[0].status) == ("block", True, "timeout")
    assert guard.settle(5.0)
    assert len(pieces) < 500


def test_a_reading_that_one_check_gave_up_is_read_again_by_another_that_waits_for_it():
    asked, over, begun = Conversation.ask("How do I prune roses?"), threading.Event(), threading.Event()
    reads = []

    def read(conversations):
        reads.append(len(conversations))
        if len(reads) == 1:
            begun.set()
            over.wait(5)
        stopping.check()
        return [verdict(c) for c in conversations]

    once, ends = _Once(read), []

    def gives_up():
        with stopping.until(over.is_set):
            try:
                once([asked])
            except stopping.StoppedError as error:
                ends.append(error)

    def waits():
        ends.append(once([asked])[0].score)

    threads = [threading.Thread(target=gives_up), threading.Thread(target=waits)]
    threads[0].start()
    begun.wait(5)
    threads[1].start()
    time.sleep(0.05)
    over.set()
    for thread in threads:
        thread.join(5)
    assert reads == [1, 1]
    assert sorted(type(end).__name__ for end in ends) == ["StoppedError", "float"]


class Embedder:
    def __init__(self):
        self.calls = 0

    def embed(self, texts):
        import numpy as np

        self.calls += 1
        return np.ones((len(texts), 2), np.float32)


def test_topics_are_looked_for_until_nobody_waits():
    embedder = Embedder()
    rail = TopicRail(Config(deny={"gambling": ("bets",)}, by="minilm"), embedder)
    asked = Conversation.ask(" ".join(f"Sentence number {n}." for n in range(400)))
    before = embedder.calls
    with stopping.until(lambda: embedder.calls >= before + 2), pytest.raises(stopping.StoppedError):
        rail(asked, "input")
    assert embedder.calls == before + 2
    assert rail(asked, "input").score > 0.5, "and without a limit to the end"


def test_windows_of_the_encoder_are_read_until_nobody_waits_and_are_kept():
    encoder_of = pytest.importorskip("charter.judges._encoder")
    encoder = object.__new__(encoder_of.Encoder)
    encoder._threads, encoder._kept, calls = 1, encoder_of.Kept(100), []
    encoder._call = lambda window, alone: calls.append(window) or encoder_of.Seen([len(calls)], [], [])
    windows = [encoder_of.Window([n], [0], 0, 1) for n in range(10)]
    with stopping.until(lambda: len(calls) >= 4), pytest.raises(stopping.StoppedError):
        encoder.see(windows)
    assert len(calls) == 4
    encoder.see(windows)
    assert len(calls) == 10, "a second try begins where the first ended"
