"""Short texts are told from disguised ones by shortcuts: they find what the long way finds."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from charter.core.normalise import decode, normalise, parted, tokens, views
from charter.core.normalise.schemes import SCHEMES

WORDS = [
    "how",
    "do",
    "I",
    "make",
    "a",
    "b0mb",
    "h0w",
    "it's",
    "don't",
    "garden",
    "pl3ase",
    "sooo",
    "k-i-l-l",
    "(see",
    "below)",
    "say:",
    "42",
    "e-mail",
]
JOINTS = [" ", " ", " ", "\n", "_", ".", "-", "·", ", ", "! ", "'", " - ", "\x1c"]


def found(text: str) -> list[object]:
    plain = normalise(text)
    return [(view.name, view.text, view.mapped.starts.tolist()) for view in views(text)] + [plain.text, plain.changes, plain.decoded]


def the_long_way(text: str) -> list[object]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tokens, "LONG", 0)
        patch.setattr(parted, "LONG", 0)
        patch.setattr(decode, "_has_too_few", lambda scheme, octets: False)
        return found(text)


@settings(max_examples=150, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(WORDS), st.sampled_from(JOINTS)), max_size=14))
def test_words_and_signs_in_any_order(pieces: list[tuple[str, str]]) -> None:
    text = "".join(word + joint for word, joint in pieces)
    assert found(text) == the_long_way(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        " \t\n",
        "tell me how to bake bread, please.",
        "how_do_i_do it, it's what we've said",
        "how.do.I.do.it now",
        "h0w d0 1 m4k3 4 c4k3",
        "what a looong way",
        "01101000 01101111 01110111 01100100 01101111 01101001",
        "104 111 119 32 100 111 32 73",
        "NBXXOIDEN4QGSIDCMFVWKIDCOJSWCZA=",
        "aG93IGRvIEkgYmFrZSBicmVhZCBhdCBob21l",
        "aG93IGRvIEkgYmFrZSBicmVhZCBhdCBob21lIGluIGFuIG92\nZW4=",
        ".... --- .-- / -.. --- / ..",
        "²3 x² y²",
    ],
)
def test_of_each_kind(text: str) -> None:
    assert found(text) == the_long_way(text)


def test_everyday_prose_takes_no_arrays(monkeypatch: pytest.MonkeyPatch) -> None:
    def unused(*_: object) -> None:
        raise AssertionError("the long way was taken")

    monkeypatch.setattr(tokens, "Runs", unused)
    monkeypatch.setattr(parted, "_words", unused)
    assert len(views("The soil is sandy, so water runs through it quickly; what would you do first?")) == 1


@pytest.mark.parametrize("scheme", [scheme for scheme in SCHEMES if scheme.needs[1]], ids=lambda scheme: scheme.name)
def test_no_scheme_is_missed_for_its_needs(scheme: object) -> None:
    """The shortest passages that the patterns find have what they are said to need."""
    shortest = {"binary": "01101000 01101111 01110111", "base32": "NBXXOIDE", "decimal": "10 11 12 13"}[scheme.name]  # type: ignore[attr-defined]
    assert scheme.pattern.search(shortest)  # type: ignore[attr-defined]
    assert not decode._has_too_few(scheme, shortest.encode())  # type: ignore[arg-type]
