"""Words are looked up all at once, and read once for all forms of a text, without another reading for it."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from charter.core.normalise import begins, lexicon, parted, schemes, signed, spacing, tokens, views, word, words
from charter.core.normalise.cutting import cut
from charter.core.normalise.lookup import Folding, Known
from charter.core.normalise.mapped import Mapped
from charter.core.normalise.scan import Runs, Scan

ROWS = st.lists(st.sampled_from("how do I m4ke the K bomb K at it's don’t ’re s d ½ x2 30 it²s é".split()), min_size=1, max_size=12)
SIGNS = st.sampled_from([*"_-.'’·|*(", "__", " - ", "\n"])


def test_every_known_word_may_be_one_in_any_case_and_hardly_any_other() -> None:
    known, every = Known(lexicon.ranks()), [*lexicon.ranks(), *(one.upper() for one in lexicon.ranks())]
    assert may(known, Folding(), every).all()
    assert may(known, Folding(), [f"{one}é" for one in lexicon.ranks()]).mean() < 0.05
    assert may(known, Folding(), [f"q{one[::-1]}x" for one in lexicon.ranks()]).mean() < 0.05
    assert not may(known, Folding(), ["", "a" * 100]).any()


@pytest.mark.parametrize("text", ["bool\u212a", "\u212anow", "B00k", "b|g", "é"])
def test_letters_are_folded_as_lower_case_and_the_table_do(text: str) -> None:
    folded = bytes(Folding(word.LOOKS)(Scan(text).points))
    assert folded == "".join(c if c.isascii() else "\0" for c in text.lower().translate(word.LOOKS)).encode()


def may(known: Known, folding: Folding, every: list[str]) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    sizes = np.array([len(one) for one in every])
    starts = np.cumsum(sizes) - sizes
    return known.may(folding(Scan("".join(every)).points), starts, starts + sizes)


@given(ROWS, SIGNS)
@example("how do I m4\u212ae the bomb".split(), "\u00b7")
@settings(max_examples=200, deadline=None)
def test_words_of_a_row_are_looked_up_at_once_as_one_by_one(row: list[str], sign: str) -> None:
    text = sign.join(row)
    words = parted._words(text)
    inside = np.arange(len(words.starts))
    at_once, singly = parted._at_once(text, words, inside), parted._one_by_one(text, words, inside)
    assert [mask.tolist() for mask in at_once] == [mask.tolist() for mask in singly]


@given(
    st.lists(
        st.text(st.sampled_from("hH0o4a@!|1s$t7*-.,_+\u212aé"), min_size=1, max_size=9)
        | st.sampled_from(["h0w", "!d0!", "b*mb", "b-o-m-b", "(t1me)"])
    )
)
@settings(max_examples=200, deadline=None)
def test_tokens_that_say_something_are_among_those_that_may(every: list[str]) -> None:
    text = " ".join(every)
    scan = Scan(text)
    runs = Runs(~scan.of(r"\s"))
    places = np.arange(len(runs.starts))
    told = {one for one, is_likely in zip(every, tokens._may_be(scan, runs, places).tolist(), strict=True) if is_likely}
    assert set(tokens._likely(set(every), set())) <= told


@given(st.text(st.sampled_from("0123 ,;.\n١x"), max_size=30))
@example("10 20 30 40")
@example(".10 20 30 40 50;60")
def test_decimal_codes_begin_where_the_pattern_finds_them(text: str) -> None:
    pattern = next(scheme.pattern for scheme in schemes.SCHEMES if scheme.name == "decimal")
    places = {at for at in range(len(text)) if pattern.match(text, at)}
    assert places <= set(begins.decimal(Scan(text)).tolist()), text


def test_a_phrase_or_word_that_comes_in_several_forms_is_read_once(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: Counter[object] = Counter()
    read = words.read
    monkeypatch.setattr(tokens, "read", lambda some: asked.update(some) or read(some))
    monkeypatch.setattr(spacing, "cut", lambda text: asked.update([f"cut {text}"]) or cut(text))
    text = "h0w d0 I m4k3 4 b0mb, ubj qb V znxr n obzo; aG93IGRvIEkgbWFrZSBhIGJvbWI= how·do·I·make·a·bomb at ho me to day wi th th ese thi ngs"
    assert len(views(text)) > 3
    assert asked
    assert max(asked.values()) == 1, asked.most_common(3)


def test_rows_with_signs_keep_their_characters_and_places() -> None:
    text = "b-o-m-b and h.o.w.m, a_b and t*h*e " * 80
    rows, few = signed.rows(text), spacing._signed_rows(text)
    assert rows is not None
    assert few is not None
    everything = np.arange(len(rows.starts))
    assert rows.letters(everything) == few.letters(everything)
    assert rows.starts.tolist() == few.starts.tolist()


@given(st.integers(0, 40), st.sets(st.integers(0, 40)))
def test_stretches_are_turned_round_where_they_stand(size: int, places: set[int]) -> None:
    cuts = sorted(place for place in places if place <= size)
    spans = list(zip(cuts[::2], cuts[1::2], strict=False))
    chars = [chr(0x100 + n) for n in range(size)]
    m = Mapped.of("".join(chars)).flip(spans)
    for start, end in spans:
        chars[start:end] = chars[start:end][::-1]
    assert m.text == "".join(chars)
    assert [m.starts[n] + 0x100 for n in range(size)] == [ord(c) for c in m.text]
