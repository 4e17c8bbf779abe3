"""Asking: in the model's own batches, nothing twice, and the same file however often it was broken off."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from charter.core.progress import Advance, Reporter
from charter.core.rows import Answer, Conversation, Reply, Sampling
from charter.store.answers import ask
from charter.store.rowlog import RowLog

SAMPLING = Sampling(max_tokens=4)


class Batcher:
    """Asks the shortest prompts first, ``size`` at a time. What it says depends on its batch, as with a real model. Dies at call ``dies_at``."""

    spec = "batcher"

    def __init__(self, size: int = 3, dies_at: int | None = None) -> None:
        self.size, self.dies_at = size, dies_at
        self.asked: list[list[str]] = []

    def batches(self, conversations: Sequence[Conversation], sampling: Sampling) -> list[list[int]]:
        order = sorted(range(len(conversations)), key=lambda i: len(conversations[i].prompt))
        return [order[i : i + self.size] for i in range(0, len(order), self.size)]

    def reply(self, conversations: Sequence[Conversation], sampling: Sampling) -> list[Reply]:
        if len(self.asked) == self.dies_at:
            raise KeyboardInterrupt
        prompts = [c.prompt for c in conversations]
        self.asked.append(prompts)
        mark = "+".join(prompts)
        return [Reply(text="", finish="error", error="timeout") if "!" in p else Reply(text=f"{p} of {mark}", finish="stop") for p in prompts]

    def score(self, conversation: Conversation, options: Sequence[str]) -> list[float]:
        raise AssertionError("not asked")


def items(prompts: Sequence[str]) -> list[tuple[str, Conversation]]:
    return [(f"k{i}", Conversation.ask(prompt)) for i, prompt in enumerate(prompts)]


PROMPTS = ["cccc", "a", "bb!", "dddddd", "eeeee", "fffffff", "gg", "h"]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "answers.jsonl"


def test_every_item_is_answered_in_its_order_and_asked_in_the_models_batches(path: Path) -> None:
    model = Batcher()
    found = ask(model, items(PROMPTS), SAMPLING, RowLog(path, Answer))
    assert list(found) == [f"k{i}" for i in range(len(PROMPTS))]
    assert model.asked == [["a", "h", "gg"], ["bb!", "cccc", "eeeee"], ["dddddd", "fffffff"]]
    assert {found["k0"].model, found["k0"].reply.text} == {"batcher", "cccc of bb!+cccc+eeeee"}
    assert (found["k0"].conversation, found["k0"].sampling) == (Conversation.ask("cccc"), SAMPLING)


def test_a_failed_reply_is_kept_and_not_asked_again(path: Path) -> None:
    found = ask(Batcher(), items(PROMPTS), SAMPLING, RowLog(path, Answer))
    assert (found["k2"].reply.finish, found["k2"].reply.text, found["k2"].reply.error) == ("error", "", "timeout")
    model = Batcher()
    assert ask(model, items(PROMPTS), SAMPLING, RowLog(path, Answer)) == found
    assert model.asked == []


@pytest.mark.parametrize("dies_at", [0, 1, 2])
def test_a_broken_run_goes_on_to_the_very_same_file(tmp_path: Path, dies_at: int) -> None:
    whole, broken = tmp_path / "whole.jsonl", tmp_path / "broken.jsonl"
    wanted = ask(Batcher(), items(PROMPTS), SAMPLING, RowLog(whole, Answer))
    with pytest.raises(KeyboardInterrupt):
        ask(Batcher(dies_at=dies_at), items(PROMPTS), SAMPLING, RowLog(broken, Answer))
    assert len(RowLog(broken, Answer)) == 3 * dies_at
    model = Batcher()
    assert ask(model, items(PROMPTS), SAMPLING, RowLog(broken, Answer)) == wanted
    assert len(model.asked) == 3 - dies_at
    assert broken.read_bytes() == whole.read_bytes()


@settings(deadline=None, max_examples=25)
@given(st.lists(st.sampled_from(PROMPTS), max_size=8), st.integers(1, 4), st.integers(0, 10_000))
def test_a_run_killed_in_the_middle_of_a_write_ends_with_the_very_same_file(
    tmp_path_factory: pytest.TempPathFactory, prompts: list[str], size: int, cut: int
) -> None:
    folder = tmp_path_factory.mktemp("cut")
    whole, torn = folder / "whole.jsonl", folder / "torn.jsonl"
    wanted = ask(Batcher(size), items(prompts), SAMPLING, RowLog(whole, Answer))
    data = whole.read_bytes() if prompts else b""
    torn.write_bytes(data[: cut % (len(data) + 1)])
    assert ask(Batcher(size), items(prompts), SAMPLING, RowLog(torn, Answer)) == wanted
    assert torn.read_bytes() == data


def test_keys_must_be_unique(path: Path) -> None:
    with pytest.raises(ValueError, match="unique keys"):
        ask(Batcher(), [("a", Conversation.ask("x")), ("a", Conversation.ask("y"))], SAMPLING, RowLog(path, Answer))
    assert not path.exists()


def test_a_model_that_answers_too_few_is_an_error_and_nothing_is_stored(path: Path) -> None:
    class Short(Batcher):
        def reply(self, conversations: Sequence[Conversation], sampling: Sampling) -> list[Reply]:
            return super().reply(conversations, sampling)[1:]

    with pytest.raises(ValueError, match="shorter"):
        ask(Short(), items(PROMPTS), SAMPLING, RowLog(path, Answer))
    assert not path.exists()


def test_nothing_to_ask_is_fine(path: Path) -> None:
    model = Batcher()
    assert ask(model, [], SAMPLING, RowLog(path, Answer)) == {}
    assert model.asked == []


def test_progress_starts_from_what_an_earlier_run_did(path: Path) -> None:
    class Ticks(Reporter):
        seen: list[tuple[str, int, int]]
        ticks: list[int]

        @contextmanager
        def track(self, what: str, total: int, done: int = 0) -> Iterator[Advance]:
            self.seen, self.ticks = [(what, total, done)], []
            ticks = self.ticks

            class Counted(Advance):
                def __call__(self, n: int = 1) -> None:
                    ticks.append(n)

            yield Counted()

    with pytest.raises(KeyboardInterrupt):
        ask(Batcher(dies_at=1), items(PROMPTS), SAMPLING, RowLog(path, Answer))
    reporter = Ticks()
    ask(Batcher(), items(PROMPTS), SAMPLING, RowLog(path, Answer), reporter, "answers")
    assert (reporter.seen, reporter.ticks) == ([("answers", 8, 3)], [3, 2])


def test_what_is_asked_again_replaces_what_was_there_and_nothing_else_is_asked(path: Path) -> None:
    before = ask(Batcher(), items(PROMPTS), SAMPLING, RowLog(path, Answer))
    model = Batcher()
    after = ask(model, items(PROMPTS), SAMPLING, RowLog(path, Answer), again={"k2", "k7"})
    assert sorted(prompt for batch in model.asked for prompt in batch) == ["bb!", "h"]
    assert [key for key in before if before[key] != after[key]] == ["k7"]
    assert list(RowLog(path, Answer).latest())[-1][0] in ("k2", "k7")
