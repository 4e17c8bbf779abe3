"""What the words of a window say, beside the network: a linear model on hashed words, pairs of words and parts of words.

A small encoder knows what a text is about and blurs how it is put; words and their parts say less, and say it the same way in texts unlike those that
were learned. So both are added, the network's raw number and the words', head by head: ``train/classifier/words.py`` learns these and how much they
count. Words are put together from the window's word pieces, so the text is not cut twice.

Of a window with two parts (a request and its reply, instructions and a text) the second part is read, and which sentences of the first share words
with it. Hashing: Weinberger et al. 2009 (arXiv 0902.2206), with CRC-32, which is the same on every machine.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from charter.judges._heads import OPERATOR_HEADS, REPLY_HEADS
from charter.judges._windows import Window

#: Buckets. Changing this or ``features`` makes old weights meaningless: bump ``FORMAT``.
DIM, FORMAT = 1 << 17, 1
#: Heads that the words of a text speak to, and those of a second part. Kinds of content are left out: there is no source of them that nothing was
#: learned from, so nobody could say how much words should count there.
ON_TEXTS, ON_PAIRS = ("harmful_request", "jailbreak", "injection"), (*REPLY_HEADS, *OPERATOR_HEADS)
HEADS = (*ON_TEXTS, *ON_PAIRS)
#: Letters of the parts of a word, the blanks around it included.
_PARTS = (4, 5)
#: Longest word that is cut into parts, and shortest that two texts are said to share.
_LONGEST, _SHARED = 40, 3
_ENDS = frozenset(".!?;:…。！？")
_LITTLE = frozenset(
    """the an of to in and or for is are be it this that with on as at by from you your me my we our do does did doesn don not no never only if will
    would can could should shall may might have has had was were he she they them their his her its what which who how when where why please tell give
    say about any all so but than then there here just also keep nothing without""".split()
)
_FORBID = frozenset(
    """not never no don doesn cannot avoid refuse decline secret private confidential only nothing without forbid forbidden keep must""".split()
)


_Block = tuple[NDArray[np.int64], float]


class Features(NamedTuple):
    """Bucket numbers and their values; of each block in the order of the numbers."""

    buckets: NDArray[np.int64]
    values: NDArray[np.float32]


class Words:
    """The learned table. ``numbers`` is what it adds to the network's outputs."""

    def __init__(self, path: Path, outputs: Sequence[str], token: Callable[[int], str | None]) -> None:
        with np.load(path, allow_pickle=False) as data:
            shapes = {"table": (DIM, len(HEADS)), "scale": (len(HEADS),), "bias": (len(HEADS),)}
            if int(data["format"]) != FORMAT or any(data[name].shape != shape for name, shape in shapes.items()):
                raise ValueError(f"{path}: not of this format")
            table: NDArray[np.int8] = data["table"]
            self._scale: NDArray[np.float32] = data["scale"]
            self._bias: NDArray[np.float32] = data["bias"]
        self._token, self._outputs = token, len(outputs)
        self._at = {paired: np.array([outputs.index(head) for head in heads]) for paired, heads in ((False, ON_TEXTS), (True, ON_PAIRS))}
        self._columns = {False: slice(0, len(ON_TEXTS)), True: slice(len(ON_TEXTS), len(HEADS))}
        #: By kind of window: rows of what is asked of it, one behind the other.
        self._tables = {paired: np.ascontiguousarray(table[:, columns]) for paired, columns in self._columns.items()}

    def numbers(self, window: Window) -> NDArray[np.float32]:
        """(outputs,): raw numbers to add; 0 where words have no say (hazards, and heads that are not asked of such a window)."""
        found, paired = features(window, self._token), any(window.segments)
        columns = self._columns[paired]
        out = np.zeros(self._outputs, np.float32)
        total = found.values @ self._tables[paired].take(found.buckets, axis=0).astype(np.float32)
        out[self._at[paired]] = total * self._scale[columns] + self._bias[columns]
        return out


def features(window: Window, token: Callable[[int], str | None]) -> Features:
    """The features of a window of either kind. Each block of them has length 1, however long the text is."""
    if not any(window.segments):
        return _together(_said([word for part in sentences(window.ids[1:-1], token) for word in part], ""))
    cut = window.segments.index(1)
    told, said = sentences(window.ids[1 : cut - 1], token), [w for part in sentences(window.ids[cut:-1], token) for w in part]
    return _together([*_said(said, "2"), *_shared(told, said)])


def sentences(ids: Sequence[int], token: Callable[[int], str | None]) -> list[list[str]]:
    """The words of each sentence, put together from word pieces; single letters and digits of ASCII are left out, as are signs."""
    words: list[str] = []
    found = [words]
    for number in ids:
        piece = token(number) or ""
        if piece.isalnum():
            words.append(piece)
        elif words and piece.startswith("##"):
            words[-1] += piece[2:]
        elif piece in _ENDS:
            found.append(words := [])
    kept = ([word for word in words if len(word) > 1 or not word.isascii()] for words in found)
    return [words for words in kept if words]


def _said(words: Sequence[str], mark: str) -> list[_Block]:
    """Words with pairs of words, and the parts of words: two blocks."""
    whole = [_bucket(f"{mark}w{word}") for word in words] + [_bucket(f"{mark}b{a} {b}") for a, b in pairwise(words)]
    parts = [_parts(word, mark) for word in set(words)]
    return [(np.array(whole, np.int64), 1.0), (np.concatenate(parts) if parts else np.zeros(0, np.int64), 1.0)]


def _shared(told: Sequence[Sequence[str]], said: Sequence[str]) -> list[_Block]:
    """What the first part says in sentences that share words with the second, and how many of its words forbidding sentences and others have."""
    mine = _matter(said)
    kinds = [(words, _matter(words), not _FORBID.isdisjoint(words)) for words in told]
    forbidden = {stem for _, stems, forbids in kinds if forbids for stem in stems} & mine
    named = {stem for _, stems, forbids in kinds if not forbids for stem in stems} & mine - forbidden
    around = [
        _bucket(name)
        for words, stems, forbids in kinds
        if stems & mine
        for name in (*(f"x{word}" for word in words), f"xn{forbids}", *(f"xs{forbids}{stem}" for stem in stems & mine))
    ]
    share = int(4 * (len(forbidden) + len(named)) / max(1, len(mine)))
    counts = [(f"#n{min(len(forbidden), 4)}", 0.5), (f"#p{min(len(named), 4)}", 0.5), (f"#r{share}", 0.5), (f"#l{min(8, len(said) // 5)}", 0.3),
              (f"#f{any(forbids for _, _, forbids in kinds)}", 0.5)]  # fmt: skip
    return [(np.array(around, np.int64), 1.0), *((np.array([_bucket(name)], np.int64), value) for name, value in counts)]


def _matter(words: Iterable[str]) -> set[str]:
    """The first letters of the words that carry a subject."""
    return {word[:5] for word in words if len(word) >= _SHARED and word not in _LITTLE}


def _together(blocks: Sequence[_Block]) -> Features:
    """Each bucket of a block once, whatever order its words were in: sums of the same text are the same sums."""
    kinds = [_once_each(buckets) if len(buckets) > 1 else buckets for buckets, _ in blocks]
    lengths = np.array([length / max(1, len(kind)) ** 0.5 for kind, (_, length) in zip(kinds, blocks, strict=True)], np.float32)
    return Features(np.concatenate(kinds), lengths.repeat([len(kind) for kind in kinds]))


def _once_each(buckets: NDArray[np.int64]) -> NDArray[np.int64]:
    """As ``np.unique``, in a fifth of its time for a few hundred numbers."""
    ordered = np.sort(buckets)
    first = np.ones(len(ordered), np.bool_)
    first[1:] = ordered[1:] != ordered[:-1]
    return ordered[first]


@lru_cache(maxsize=1 << 14)
def _bucket(name: str) -> int:
    return zlib.crc32(name.encode("utf-8", "surrogatepass")) % DIM


@lru_cache(maxsize=1 << 13)
def _parts(word: str, mark: str) -> NDArray[np.int64]:
    padded = f" {word[:_LONGEST]} "
    return np.array([_bucket(f"{mark}c{padded[at : at + size]}") for size in _PARTS for at in range(max(1, len(padded) - size + 1))], np.int64)
