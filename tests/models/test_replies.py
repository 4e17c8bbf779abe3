"""From generated token ids to a reply."""

from __future__ import annotations

import pytest

from charter.models._generate import _reply


class Bytes:
    """A tokenizer of bytes: 0 ends a turn."""

    def decode(self, ids: list[int], *, skip_special_tokens: bool) -> str:
        assert skip_special_tokens
        return bytes(ids).decode(errors="replace")


@pytest.mark.parametrize("said", ["Größe", "你好,朋友", "Here are ideas 🎂🎉"])
def test_a_cut_inside_a_character_leaves_no_trace_of_it(said: str) -> None:
    ids = list(said.encode())
    for n in range(4, len(ids)):
        reply = _reply(Bytes(), ids[:n], 3, {0})
        assert reply.finish == "length"
        assert said.startswith(reply.text)
        assert reply.text
        assert reply.tokens_out == n


def test_a_reply_that_ended_is_kept_as_it_was_said() -> None:
    assert _reply(Bytes(), [*"So \ufffd".encode(), 0, 7], 3, {0}).text == "So \ufffd"


def test_less_than_a_character_is_nothing_said() -> None:
    reply = _reply(Bytes(), list("🎂".encode())[:2], 3, {0})
    assert (reply.text, reply.finish) == ("", "error")
