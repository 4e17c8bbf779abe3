"""Words in disguise: digits and signs for letters, signs between letters, letters left out or drawn out.

A change is made only where it turns what is no word into a common English word, so that code, names and other languages stay as they are. In a
text with several disguised words the short ones are read too ("7o", "4").
"""

from __future__ import annotations

import re
from collections import Counter
from functools import cache

import numpy as np

from charter.core.normalise.cutting import cut
from charter.core.normalise.lookup import Folding, Known
from charter.core.normalise.mapped import Edit, Mapped, Offsets
from charter.core.normalise.memory import Memory
from charter.core.normalise.scan import LONG, Mask, Runs, Scan, after, before
from charter.core.normalise.word import BETWEEN, CLOSED, INNER, LOOKS, MIXED, OUTER, STARRED, gap, looks, unknown
from charter.core.normalise.words import read

_MAY = re.compile(rf"[{re.escape(OUTER)}]*[A-Za-z0-9@$!|€£+.,\-*·•/~_^#&]+[{re.escape(OUTER)}]*")
#: Characters of ``_MAY`` that are only within a token, and only around one.
_CORE_ONLY, _OUTER_ONLY = r"A-Za-z0-9@$|€£+·•/\^#&", re.escape(";:?\"'()[]{}<>…“”‘’«»`")
_LONGEST = 40
#: As ``_hopeless``, of one token.
_NEVER = re.compile(rf"(?<=[{_CORE_ONLY}])[{_OUTER_ONLY}](?=[{_CORE_ONLY}])|[^\s{_CORE_ONLY}{re.escape(OUTER)}]")
_DRAWN_OUT = re.compile(r"([A-Za-z])\1\1")
#: Tokens from which those that say nothing are told all at once.
MANY = 64
#: Tokens that tell whether most of a text's say nothing.
_SAMPLE = 256
#: A text of this many letters without a blank may be several words; so many, of this mean length.
_RUN_ON, _RUN_ON_LONGEST, _RUN_ON_WORDS, _RUN_ON_MEAN = 12, 4000, 4, 2.5
#: Disguised words, and their share, from which a text counts as written in disguise.
_DENSE, _DENSE_SHARE = 2, 0.15
#: The same, counting the words that are only read as disguised in such a text; one must be disguised beyond doubt.
_LIKELY, _LIKELY_SHARE = 3, 0.4


def undisguise(m: Mapped, memory: Memory) -> Mapped:
    """``m`` with disguised words in plain letters."""
    if len(m.text) < LONG and m.text.isascii() and _says_nothing(m.text, memory):
        return m
    scan = Scan(m.text)
    tokens = Runs(~scan.of(r"\s"))
    if len(tokens.starts) == 1 and (words := _run_on(m.text)) is not None:
        start = len(m.text) - len(m.text.lstrip().lstrip(OUTER))
        return m.replace([Edit(start, len(m.text.rstrip().rstrip(OUTER)), words)])
    is_drawn = tokens.any(_drawn_out(scan))
    places = np.flatnonzero((is_drawn | tokens.any(~scan.of(r"^\W\d_"))) & (tokens.sizes <= _LONGEST))
    places = places[~tokens.any(_hopeless(scan))[places]] if len(places) else places
    likely = places[_may_be(scan, tokens, places) | is_drawn[places]] if _most_say_nothing(scan, tokens, places) else places
    found = tokens.texts(m.text, likely)
    if not found:
        return m
    _learn(memory, set(found), set(tokens.texts(m.text, np.flatnonzero(is_drawn))))
    plain, is_dense = _plain(memory, Counter(found), len(tokens.starts))
    if is_dense:
        found = found if len(likely) == len(places) else tokens.texts(m.text, places)
        likely = places
        plain |= {t: new for t in set(found) if t not in plain and _MAY.fullmatch(t) and (new := unknown(t)) is not None}
    if not plain:
        return m
    changed = [number for number, token in enumerate(found) if token in plain]
    edited = likely[changed]
    return m.put(tokens.starts[edited], tokens.ends[edited], [plain[found[number]] for number in changed])


def _says_nothing(text: str, memory: Memory) -> bool:
    """Whether a short text in ASCII has several words and none of them in disguise: told sooner than where they stand."""
    tokens = text.split()
    if len(tokens) == 1:
        return False
    drawn = {t for t in tokens if _DRAWN_OUT.search(t)} if _DRAWN_OUT.search(text) else set()
    odd = [t for t in tokens if (not t.isalpha() or t in drawn) and len(t) <= _LONGEST and not _NEVER.search(t)]
    if not odd or len(odd) >= MANY:
        return not odd
    _learn(memory, set(odd), drawn)
    plain, is_dense = _plain(memory, Counter(odd), len(tokens))
    return not plain and not is_dense


def _learn(memory: Memory, odd: set[str], drawn: set[str]) -> None:
    """What the odd tokens of a text say that were not seen before."""
    new = odd - memory.words if memory.words else odd
    if new:
        plain, bold = read([t for t in _likely(new, drawn) if _MAY.fullmatch(t)])
        if memory.words:
            memory.words |= new
            memory.plain |= plain
            memory.bold |= bold
        else:
            memory.words, memory.plain, memory.bold = new, plain, bold


def _plain(memory: Memory, counts: Counter[str], every: int) -> tuple[dict[str, str], bool]:
    """What the tokens of a text say that are in disguise, and whether all of it is written so; ``every`` is the number of all tokens."""
    bold = {t: new for t in counts if (new := memory.bold.get(t)) is not None}
    plain = {t: new for t in bold if (new := memory.plain.get(t)) is not None}
    mixed = [t for t in bold if MIXED.search(t)]
    sure, likely, mixes = (sum(map(counts.__getitem__, some)) for some in (plain, bold, mixed))
    if sure >= max(_DENSE, _DENSE_SHARE * every) or (likely if plain else mixes) >= max(_LIKELY, _LIKELY_SHARE * every):
        return bold, True
    return plain, False


def _most_say_nothing(scan: Scan, tokens: Runs, places: Offsets) -> bool:
    """Told by some of many tokens; where most may say something it is quicker to read them all."""
    if len(places) < MANY:
        return False
    some = places[:: -(-len(places) // _SAMPLE)]
    return 2 * int(_may_be(scan, tokens, some).sum()) < len(some)


def _may_be(scan: Scan, tokens: Runs, places: Offsets) -> Mask:
    """Those of the tokens for which ``_likely`` may find something, but for letters drawn out; few others."""
    starts, ends = tokens.starts[places], tokens.ends[places]
    found = _may_be_cores(scan, starts, ends, OUTER)
    if (shouted := tokens.any(scan.of("!"))[places]).any():
        found[shouted] |= _may_be_cores(scan, starts[shouted], ends[shouted], INNER)
    return found


def _may_be_cores(scan: Scan, starts: Offsets, ends: Offsets, outer: str) -> Mask:
    inner = np.flatnonzero(~scan.of(re.escape(outer)))
    first, last = np.searchsorted(inner, starts), np.searchsorted(inner, ends)
    inner = np.append(inner, len(scan.points))
    starts, ends = inner[first], np.where(last > first, inner[last - 1] + 1, inner[first])
    letters, kept = _folded()(scan.points), ~scan.of(re.escape(BETWEEN))
    so_far = np.append(0, np.cumsum(kept))
    found = _shapes().may(letters, starts, ends) | _shapes().may(letters[kept], so_far[starts], so_far[ends])
    if (stars := scan.of(r"\*")).any():
        so_many = np.append(0, np.cumsum(stars))
        found |= so_many[ends] > so_many[starts]
    return found


@cache
def _folded() -> Folding:
    return Folding(LOOKS)


@cache
def _shapes() -> Known:
    return Known(looks())


def _hopeless(scan: Scan) -> Mask:
    """Characters in the place of which ``_MAY`` does not match a token."""
    core = scan.of(_CORE_ONLY)
    return (scan.of(_OUTER_ONLY) & before(core) & after(core)) | ~scan.of(rf"\s{_CORE_ONLY}{re.escape(OUTER)}")


def _drawn_out(scan: Scan) -> Mask:
    """The middle of each letter that is there three times in a row."""
    points = scan.points
    same = np.zeros(len(points), dtype=np.bool_)
    same[1:-1] = (points[1:-1] == points[:-2]) & (points[1:-1] == points[2:])
    return same & scan.of("A-Za-z")


def _likely(every: set[str], drawn: set[str]) -> list[str]:
    """Those for which ``plain_token`` may find something, and few others; all at once."""
    tokens = [t for t in every if t.isascii()]
    return [*_likely_cores(tokens, OUTER, drawn), *_likely_cores([t for t in tokens if "!" in t], INNER, drawn)]


def _likely_cores(tokens: list[str], outer: str, drawn: set[str]) -> list[str]:
    cores, known = [t.strip(outer) for t in tokens], looks()
    text = "\n".join(cores)
    lower = text.lower()
    shapes, closed = (lower.translate(table).split("\n") for table in (LOOKS, CLOSED))
    found = {t for t, look, whole in zip(tokens, shapes, closed, strict=False) if look in known or whole in known}
    starred = {core for core in STARRED.findall(text) if gap(core)} if "*" in text else ()
    if starred:
        found.update(t for t, core in zip(tokens, cores, strict=True) if core in starred)
    if drawn:
        found.update(t for t, core in zip(tokens, cores, strict=True) if t in drawn and core.isalpha())
    return [t for t in tokens if t in found]


def _run_on(text: str) -> str | None:
    """A text that is one token of several words."""
    core = text.strip().strip(OUTER)
    if not _RUN_ON <= len(core) <= _RUN_ON_LONGEST or not core.isalpha() or not core.isascii():
        return None
    words = cut(core.lower())
    return " ".join(words) if words and len(words) >= _RUN_ON_WORDS and len(core) / len(words) >= _RUN_ON_MEAN else None
