"""Words whose letters were pulled apart, by blanks, line breaks or signs, are put together again.

Single letters in a row happen in clean text too (initials, options, boards of games), so a row counts only if it then spells common English
words, or, in other alphabets with upper and lower case, if it is long.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator

import numpy as np

from charter.core.normalise import phrases, signed
from charter.core.normalise.cutting import cut, cut_loosely
from charter.core.normalise.lexicon import is_word, rank, ranks
from charter.core.normalise.lookup import common_words, lowered
from charter.core.normalise.mapped import Edit, Mapped, Offsets
from charter.core.normalise.memory import Memory, told
from charter.core.normalise.scan import LONG, Scan, found_at, runs
from charter.core.normalise.word import plain_token

_SEPARATOR = rf"[{signed.BLANKS}]?[{signed.SIGNS}]{{1,2}}[{signed.BLANKS}]?"
_CHAR = r"(?:[^\W_]|[@$!|€+])"
_BLANKED = re.compile(rf"(?<![^\s\"'(]){_CHAR}(?:(?:[ \t]{{1,6}}|[ \t]*\r?\n[ \t]*){_CHAR}){{3,}}(?![^\s.,;:?!\"')])")
_SIGNED = re.compile(rf"(?<![^\W_])[^\W_](?P<sep>{_SEPARATOR})[^\W_](?:(?P=sep)[^\W_])*(?![^\W_])")
#: Digits, signs, and letters of scripts without upper and lower case.
_UNCASED = re.compile("[^A-Za-z\u00c0-\u058f\u10a0-\u10ff\u13a0-\u13ff\u1c80-\u1fff\u2c00-\u2dff\ua640-\ua7ff]")
_PIECE = rf"[A-Za-z]++(?![{phrases.NOT_BEHIND}])"
_PHRASE = re.compile(rf"(?<![{phrases.NOT_BEFORE}]){_PIECE}(?:[{phrases.BLANKS}]{{1,{phrases.GAP}}}{_PIECE}){{{phrases.WORDS - 1},}}")
#: Letters in a row that count in an alphabet for which there is no list of words.
_LONG = 5
#: Share of pieces that are no words from which a phrase is cut anew; share of words under which its language is not English.
_BROKEN, _ENGLISH = 0.3, 0.6
#: Mean length that words have which were not there by chance.
_MEAN = 2.5
#: Letters in a row that may hold unknown words, and the share of longer known words they then need.
_LOOSE, _SURE = 10, 0.6


def close_up(m: Mapped, memory: Memory) -> Mapped:
    """``m`` with pulled-apart words closed."""
    m = m.replace([Edit(*f.span(), new) for f in _blanked_runs(m.text) if (new := told(memory.runs, _blanked, f[0])) is not None])
    m = _signed(m, memory)
    return _phrased(m, memory)


def _phrased(m: Mapped, memory: Memory) -> Mapped:
    starts, every = _phrases(m.text)
    distinct, known = set(every), memory.phrases
    if fresh := [phrase for phrase in distinct if phrase not in known]:
        known.update(_read(fresh))
    new = {phrase: said for phrase in distinct if (said := known[phrase]) is not None}
    if not new:
        return m
    some = [number for number, phrase in enumerate(every) if phrase in new]
    first = starts[some]
    sizes = np.array([len(every[number]) for number in some], dtype=np.int64)
    return m.put(first, first + sizes, [new[every[number]] for number in some])


def _read(every: list[str]) -> dict[str, str | None]:
    """What phrases say with their blanks in other places."""
    distinct, known = list(set(" ".join(every).split())), ranks()
    unknown = {piece for piece, lower in zip(distinct, " ".join(distinct).lower().split(), strict=True) if lower not in known}
    new: dict[str, str | None] = dict.fromkeys(every)
    if unknown:
        is_unknown = unknown.__contains__
        for phrase in every:
            pieces = phrase.split()
            if count := sum(map(is_unknown, pieces)):
                new[phrase] = _phrase(pieces, count, unknown) or None
    return new


def _blanked_runs(text: str) -> Iterator[re.Match[str]]:
    if len(text) < LONG:
        return _BLANKED.finditer(text)
    scan = Scan(text)
    starts, ends = runs(~scan.of(r" \t\r\n"))
    single, last = scan.of(r"^\W_") | scan.of("@$!|€+"), len(starts) - 3  # the last character of a run, two alone, and the first one of a run
    if last <= 0:
        return iter(())
    alone = single[starts] & (ends - starts == 1)
    begins = single[ends - 1][:last] & alone[1 : 1 + last] & alone[2 : 2 + last] & single[starts][3:]
    return found_at(_BLANKED, text, ends[:last][begins] - 1)


def _blanked(run: str) -> str | None:
    least = min(map(len, re.findall(r"\s+", run)))
    words = ["".join(word.split()) for word in re.split(rf"[ \t]{{{least + 1},}}", run)]
    return None if len(words) > 1 and all(len(w) == 1 for w in words) else _spelled(words)


def _spelled(words: list[str]) -> str | None:
    """The words if they are such, else None."""
    letters = "".join(words)
    cased = len(_UNCASED.sub("", letters))
    if cased < 3 or (cased < 0.6 * len(letters) and not letters.isascii()):
        return None
    if not letters.isascii():
        return " ".join(words) if len(letters) >= _LONG else None
    plain = [plain_token(w, dense=True) or w for w in words]
    known = sum(len(w) for w in plain if is_word(w))
    if known >= 0.6 * len(letters):
        return " ".join(plain)
    whole = "".join(plain).lower()
    pieces = cut(whole) or (cut_loosely(whole, _SURE) if len(whole) >= _LOOSE else None)
    return " ".join(pieces) if pieces and len(letters) / len(pieces) >= _MEAN else None


def _signed(m: Mapped, memory: Memory) -> Mapped:
    rows = signed.rows(m.text) if len(m.text) >= LONG else _signed_rows(m.text)
    if rows is None:
        return m
    long = np.flatnonzero(rows.last - rows.first > 3)
    letters = rows.letters(long)
    spelled = {n: new for n in set(letters) if (new := told(memory.rows, _spelled_row, n))}
    if not spelled:
        return m
    signs = set(rows.separators[long[[n in spelled for n in letters]]].tolist())
    closed = {n: n for sep, n in zip(rows.separators[long].tolist(), letters, strict=True) if (sep in signs and n.isalpha()) or is_word(n)} | spelled
    said = dict(zip(long.tolist(), map(closed.get, letters), strict=True))
    short = np.flatnonzero(rows.last - rows.first <= 3)
    short = short[common_words().may(lowered()(Scan(rows.every).points), rows.first[short], rows.last[short])]
    said |= {number: n for number, n in zip(short.tolist(), rows.letters(short), strict=True) if is_word(n)}
    some = sorted(number for number, new in said.items() if new is not None)
    return m.put(rows.starts[some], rows.ends[some], [said[number] or "" for number in some])


def _spelled_row(letters: str) -> str | None:
    return _spelled([letters])


def _signed_rows(text: str) -> signed.Rows | None:
    starts, ends, separators, letters = [], [], [], []
    for found in _SIGNED.finditer(text):
        starts.append(found.start())
        ends.append(found.end())
        separators.append(found["sep"])
        letters.append(found[0].replace(found["sep"], ""))
    if not starts:
        return None
    number = {separator: number for number, separator in enumerate(dict.fromkeys(separators))}
    last = np.cumsum([len(row) for row in letters])
    first = np.append(0, last[:-1])
    return signed.Rows(np.array(starts), np.array(ends), np.array([number[separator] for separator in separators]), "".join(letters), first, last)


def _phrases(text: str) -> tuple[Offsets, list[str]]:
    """Where phrases begin, and what they are."""
    if len(text) < LONG:
        found = [(match.start(), match[0]) for match in _PHRASE.finditer(text)]
        return np.array([start for start, _ in found], dtype=np.int64), [phrase for _, phrase in found]
    starts, ends = phrases.phrases(text)
    return starts, [text[start:end] for start, end in zip(starts.tolist(), ends.tolist(), strict=True)]


def _phrase(pieces: list[str], unknown: int, unknown_pieces: set[str]) -> str | None:
    """A phrase with blanks in the wrong places: all of it cut anew, or single pieces joined to their neighbour."""
    if unknown >= max(2, _BROKEN * len(pieces)):
        words = cut("".join(pieces).lower())
        return " ".join(words) if words and len(words) < len(pieces) and sum(map(len, words)) / len(words) >= _MEAN else None
    return _neighbours(pieces) if unknown <= (1 - _ENGLISH) * len(pieces) and _any_joins(pieces, unknown_pieces) else None


def _any_joins(pieces: list[str], unknown_pieces: set[str]) -> bool:
    """Whether an unknown piece makes a commoner word with the one before or after it."""
    for place in [n for n, piece in enumerate(pieces) if piece in unknown_pieces]:
        for first, second in ((place - 1, place), (place, place + 1)):
            near = first >= 0 and second < len(pieces) and len(both := pieces[first] + pieces[second]) > 3
            if near and is_word(both) and rank(both) < min(rank(pieces[first]), rank(pieces[second])):
                return True
    return False


def _neighbours(pieces: list[str]) -> str | None:
    joined, last = [pieces[0]], rank(pieces[0])
    for piece in pieces[1:]:
        own = rank(piece)
        if own == math.inf or last == math.inf:
            both = joined[-1] + piece
            if len(both) > 3 and (found := rank(both)) < min(own, last):
                joined[-1], last = both, found
                continue
        joined.append(piece)
        last = own
    return " ".join(joined) if len(joined) < len(pieces) else None
