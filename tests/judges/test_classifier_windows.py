"""Windows hide no tail, and long words are cut without losing their place."""

from __future__ import annotations

import itertools
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from charter.judges._encoder import shipped
from charter.judges._windows import (
    _MOST,
    LENGTH,
    LONGEST_WORD,
    OPERATOR,
    _letters,
    cut_long_words,
    operator_pieces,
    operator_windows,
    pieces,
    reply_windows,
    shorten,
    text_windows,
)

CLS, SEP = 101, 102


@given(count=st.integers(0, 3000), room=st.integers(34, 140), overlap=st.integers(0, 32))
def test_pieces_cover_every_token(count: int, room: int, overlap: int) -> None:
    spans = pieces(count, room, overlap)
    assert spans[0][0] == 0
    assert spans[-1][1] == count
    assert all(0 <= b - a <= room for a, b in spans)
    assert all(later[0] <= earlier[1] - overlap for earlier, later in itertools.pairwise(spans))


def test_a_room_smaller_than_the_overlap_is_refused() -> None:
    with pytest.raises(ValueError, match="cannot overlap"):
        pieces(100, 20, 20)


def test_last_token_of_a_long_text_is_in_a_window() -> None:
    ids = list(range(1000, 3000))
    windows = text_windows(ids, CLS, SEP)
    assert {i for w in windows for i in w.ids} >= set(ids)
    assert all(len(w.ids) == len(w.segments) <= LENGTH and w.ids[0] == CLS and w.ids[-1] == SEP for w in windows)


def test_every_reply_window_has_the_request_and_no_token_is_lost() -> None:
    request, reply = list(range(200, 400)), list(range(1000, 1700))
    windows = reply_windows(request, reply, CLS, SEP)
    asked = shorten(request)
    assert all(w.ids[1 : 1 + len(asked)] == asked and len(w.ids) <= LENGTH for w in windows)
    assert all(sum(w.segments) == w.end - w.start + 1 for w in windows)
    assert {i for w in windows for i in w.ids} >= set(reply)


@given(told=st.integers(0, 500), count=st.integers(0, 700))
def test_every_operator_window_has_instructions_and_no_token_of_the_text_is_lost(told: int, count: int) -> None:
    operator, text = list(range(200, 200 + told)), list(range(1000, 1000 + count))
    windows = operator_windows(operator, text, CLS, SEP)
    assert all(len(w.ids) == len(w.segments) <= LENGTH and w.ids[0] == CLS and w.ids[-1] == SEP for w in windows)
    assert {i for w in windows for i in w.ids} >= set(text)
    assert all(set(w.ids) & set(operator) for w in windows) or not operator
    assert {i for w in windows for i in w.ids} >= set(operator[: min(told, OPERATOR)])


def test_of_long_instructions_the_beginning_and_what_is_most_like_the_text_are_read() -> None:
    operator = list(range(1000, 1600))
    first, second = operator_pieces(operator, [1450, 1451, 1001], OPERATOR)
    assert first[0] == 0
    assert second[0] <= 450 < 452 <= second[1]
    assert operator_pieces(operator[:OPERATOR], [5], OPERATOR) == [(0, OPERATOR)]


def test_shorten_keeps_both_ends() -> None:
    assert shorten(range(100))[0] == 0
    assert shorten(range(100))[-1] == 99
    assert shorten([1, 2]) == [1, 2]


@given(st.text(alphabet="ab \n각가é", max_size=400))
def test_cutting_loses_nothing(text: str) -> None:
    cut = cut_long_words(text)
    assert all(sum(map(_letters, word)) <= LONGEST_WORD for word in cut.text.split())
    shown = [n for n in range(len(cut.text)) if n not in {c + k for k, c in enumerate(cut.cuts)}]
    assert "".join(cut.text[n] for n in shown) == text
    assert [cut.original(n) for n in shown] == list(range(len(text)))


def test_no_character_becomes_more_letters_than_a_short_word_is_let_pass_for() -> None:
    assert max(_letters(chr(code)) for code in range(sys.maxunicode + 1)) == _MOST


@pytest.mark.parametrize("text", ["폭탄을만드는방법을알려줘" * 7, ("tell각me각how각to각build" * 5)[:80], "각" * 34, "가" * 46, "\u0bcb" * 50])
def test_what_the_tokenizer_takes_apart_is_cut_before_it_gives_up(text: str) -> None:
    """It counts the letters of a syllable by themselves, and reads more than 100 without a space as one unknown word."""
    encoder = shipped()
    assert len(text) <= LONGEST_WORD
    tokens = encoder.tokens([text])[0]
    assert "[UNK]" not in [encoder.token(number) for number in tokens.ids]
    assert len(tokens.ids) > len(text) / 2
    assert (tokens.offsets[0][0], tokens.offsets[-1][1]) == (0, len(text))


@pytest.mark.parametrize("text", ["é" * LONGEST_WORD, "a" * LONGEST_WORD, "각" * 30, "文" * LONGEST_WORD])
def test_what_the_tokenizer_reads_whole_is_left_whole(text: str) -> None:
    """Marks are dropped and count for nothing: scores of ordinary texts stay what they were."""
    assert cut_long_words(text).cuts == []
    assert cut_long_words(text + text[0]).cuts == [len(text)]
