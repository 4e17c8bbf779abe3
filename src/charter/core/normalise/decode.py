"""Encoded passages in a text, each decoded where it stands.

Base64 (also URL-safe, wrapped and without padding), base32, hexadecimal, binary and decimal codes, percent and character escapes, Morse. A
passage counts as encoded if what it decodes to reads as language. No scheme makes a text longer, so the work is bounded by its length.
"""

from __future__ import annotations

import base64
import binascii
import html
import re
import string
from collections.abc import Callable, Iterator
from functools import cache
from typing import NamedTuple

import numpy as np

from charter.core.normalise import begins, reorder
from charter.core.normalise.mapped import Edit, Offsets
from charter.core.normalise.readable import readable
from charter.core.normalise.scan import LONG, Scan, found_at

#: Encodings inside encodings that are opened.
MAX_DEPTH = 3
#: Characters that a decoded passage needs before it is read as one in another disguise.
LEAST = 8
_BETWEEN_TEXTS = "\n\u2610\n"
Decoder = Callable[[str], "str | None"]


class Scheme(NamedTuple):
    """``pattern`` finds candidates, ``decode`` reads one or returns None; ``sure`` candidates need not read as language;
    a text without any of ``signs`` has none; ``begins`` says where in a long text one can begin."""

    name: str
    pattern: re.Pattern[str]
    decode: Decoder
    begins: Callable[[Scan], Offsets]
    sure: bool = False
    signs: tuple[str, ...] = ("",)


def _utf8(raw: bytes) -> str | None:
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError:
        return None


def _base64(text: str) -> str | None:
    text = "".join(text.split())
    body = text.rstrip("=").translate({ord("-"): "+", ord("_"): "/"})
    if body.isdigit() or body.islower() or body.isupper() or body.istitle() or len(body) % 4 == 1:
        return None
    try:
        return _utf8(base64.b64decode(body + "=" * (-len(body) % 4), validate=True))
    except (binascii.Error, ValueError):
        return None


def _base32(text: str) -> str | None:
    body = text.rstrip("=")
    try:
        return _utf8(base64.b32decode(body + "=" * (-len(body) % 8)))
    except (binascii.Error, ValueError):
        return None


_BETWEEN = re.compile(r"0x|\\x|[\s:,\-]")


def _hex(text: str) -> str | None:
    digits = text if text.isalnum() and "x" not in text else _BETWEEN.sub("", text)
    return None if digits.isdigit() and len(digits) < 24 else _utf8(bytes.fromhex(digits))


def _binary(text: str) -> str | None:
    digits = re.sub(r"[\s,]", "", text)
    return _utf8(bytes(int(digits[n : n + 8], 2) for n in range(0, len(digits) - 7, 8)))


def _decimal(text: str) -> str | None:
    numbers = [int(n) for n in re.findall(r"\d+", text)]
    return "".join(map(chr, numbers)) if all(n in (9, 10, 13) or 32 <= n < 127 for n in numbers) else None


def _percent(text: str) -> str | None:
    """A token with percent escapes; form encoding writes blanks as plus signs."""
    if text.isascii():
        first, *parts = text.encode().split(b"%")
        pairs = ((_octets().get(part[:2]), part) for part in parts)
        raw = b"".join([first, *(b"%" + part if octet is None else octet + part[2:] for octet, part in pairs)]).decode("utf-8", "surrogateescape")
    else:
        raw = re.sub(r"(?:%[0-9a-fA-F]{2})+", lambda found: bytes.fromhex(found[0].replace("%", "")).decode("utf-8", "surrogateescape"), text)
    said = raw.replace("+", " ")
    return None if _BROKEN.search(said) else said  # bytes that are no UTF-8 have become lone surrogates


@cache
def _octets() -> dict[bytes, bytes]:
    """Two hexadecimal digits and the byte that they are."""
    return {(one + two).encode(): bytes.fromhex(one + two) for one in string.hexdigits for two in string.hexdigits}


_BROKEN = re.compile("[\ud800-\udfff\x00-\x08\x0e-\x1f]")


def _entity(text: str) -> str | None:
    return html.unescape(re.sub(r"(&#(?:\d{2,7}|[xX][0-9a-fA-F]{2,6}))(?![\da-fA-F;])", r"\1;", text))


def _escape(text: str) -> str | None:
    """Code points, but bytes where a whole run of \\x escapes is UTF-8."""
    said = _BYTES.sub(lambda run: _utf8(bytes.fromhex(run[0].replace("\\x", ""))) or run[0], text)
    said = _ONE.sub(lambda found: chr(min(int(re.sub(r"[^0-9a-fA-F]", "", found[0].lstrip("\\uUx+")), 16), 0x10FFFF)), said)
    return said.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


def _octal(text: str) -> str | None:
    return _utf8(bytes(int(number, 8) & 0xFF for number in re.findall(r"[0-7]{3}", text)))


_MORSE = dict(zip(
    ".- -... -.-. -.. . ..-. --. .... .. .--- -.- .-.. -- -. --- .--. --.- .-. ... - ..- ...- .-- -..- -.-- --.. "
    "----- .---- ..--- ...-- ....- ..... -.... --... ---.. ----. .-.-.- --..-- ..--.. -.-.--".split(),
    "abcdefghijklmnopqrstuvwxyz0123456789.,?!",
    strict=True,
))  # fmt: skip
_DOTS = str.maketrans({"·": ".", "•": ".", "∙": ".", "*": ".", "–": "-", "—": "-", "−": "-", "_": "-", "‐": "-"})


def _morse(text: str) -> str | None:
    words = re.split(r"\s*[/|]\s*|\s{2,}|\n", text.translate(_DOTS).strip())
    letters = [[_MORSE.get(code) for code in word.split()] for word in words]
    flat = [letter for word in letters for letter in word]
    if None in flat or len(set(flat)) < 3:
        return None
    return " ".join("".join(letter or "" for letter in word) for word in letters)


_UNIT = r"(?:0x|\\x)?[0-9a-fA-F]{2}"
_ESCAPE = r"(?:\\u[0-9a-fA-F]{4}|\\U[0-9a-fA-F]{8}|\\u\{[0-9a-fA-F]{2,6}\}|\\x[0-9a-fA-F]{2}|U\+[0-9a-fA-F]{4,6} ?)"
_ONE = re.compile(_ESCAPE)
_BYTES = re.compile(r"(?:\\x[0-9a-fA-F]{2})+")
_SIGN = r"[.\-·•∙*–—−_‐]"
SCHEMES = (
    Scheme("escapes", re.compile(rf"{_ESCAPE}(?:\s?{_ESCAPE})+"), _escape, begins.escapes, sure=True, signs=("\\", "U+")),
    Scheme("octal", re.compile(r"\\[0-3][0-7]{2}(?:\s?\\[0-3][0-7]{2}){2,}"), _octal, begins.octal, signs=("\\",)),
    Scheme("entities", re.compile(r"(?<!\S)\S*?&#[\dxX][\da-fA-F]\S*"), _entity, begins.entities, sure=True, signs=("&#",)),
    Scheme("percent", re.compile(r"(?<!\S)\S*?%[0-9a-fA-F]{2}\S*"), _percent, begins.percent, sure=True, signs=("%",)),
    Scheme(
        "base64",
        re.compile(r"(?<![A-Za-z0-9+/_\-])(?:[A-Za-z0-9+/_\-]{40,}+[ \t]*+\r?\n[ \t]*+)+[A-Za-z0-9+/_\-]{2,}+={0,2}"),
        _base64,
        begins.wrapped,
    ),
    Scheme("binary", re.compile(r"(?<![0-9])[01]{8}(?:[\s,]{0,2}[01]{8}){2,}(?![0-9])"), _binary, begins.binary),
    Scheme("hex", re.compile(rf"(?<![0-9a-zA-Z]){_UNIT}(?:[\s:,\-]?{_UNIT}){{3,}}(?![0-9a-zA-Z])"), _hex, begins.hexadecimal),
    Scheme("base32", re.compile(r"(?<![A-Z0-9])[A-Z2-7]{8,}+={0,6}+(?![A-Za-z0-9])"), _base32, begins.base32),
    Scheme("base64", re.compile(r"(?<![A-Za-z0-9+/_\-])(?:[A-Za-z0-9+/_\-]{8,}+={0,2}|[A-Za-z0-9+/_\-]{6,7}={1,2})"), _base64, begins.base64),
    Scheme("decimal", re.compile(r"(?<![\d.])\d{2,3}(?:[\s,;]{1,2}\d{2,3}){3,}(?![\d.])"), _decimal, begins.decimal),
    Scheme("morse", re.compile(rf"(?<!\S)(?:{_SIGN}{{1,6}}(?:\s{{1,4}}|\s?[/|]\s?)){{3,}}{_SIGN}{{1,6}}"), _morse, begins.morse),
)


def passages(text: str, depth: int = MAX_DEPTH, plain: Callable[[str], str] = str) -> Iterator[tuple[Edit, str]]:
    """Encoded passages, in order and apart, with the name of their scheme. Of two that overlap the one of the earlier scheme holds. A passage
    may also decode to another encoded one, up to ``depth`` deep; only the outermost is undone. ``plain`` undoes other disguises, for telling
    whether what it says is language."""
    found: list[tuple[Edit, str]] = []
    taken = np.zeros((0, 2), dtype=np.int64)
    scan = Scan(text) if len(text) >= LONG else None
    for scheme in SCHEMES:
        if not any(sign in text for sign in scheme.signs):
            continue
        starts: list[int] = []
        encoded: list[str] = []
        for match in found_at(scheme.pattern, text, scheme.begins(scan)) if scan else scheme.pattern.finditer(text):
            starts.append(match.start())
            encoded.append(match[0])
        said = _said(scheme, set(encoded), depth, plain)
        new = [(Edit(start, start + len(e), said[e]), scheme.name) for start, e in zip(starts, encoded, strict=True) if e in said] if said else []
        new = _apart(new, taken)
        if new:
            found += new
            taken = np.concatenate([taken, np.array([(edit.start, edit.end) for edit, _ in new])])
            taken = taken[taken[:, 0].argsort()]
    yield from sorted(found, key=lambda item: item[0].start)


def _said(scheme: Scheme, found: set[str], depth: int, plain: Callable[[str], str]) -> dict[str, str]:
    """What passages decode to, without those that say nothing."""
    every = {passage: said for passage in found if (said := scheme.decode(passage)) is not None and said != passage}
    if scheme.sure:
        return every
    kept = {passage: said for passage, said in every.items() if readable(said)}
    open_ones = {p: said for p, said in every.items() if p not in kept and len(said) >= LEAST and not _BROKEN.search(said)}
    undone = _undone(list(open_ones.values()), plain)
    kept |= {p: said for (p, said), form in zip(open_ones.items(), undone, strict=True) if readable(form) or reorder.is_turned(said)}
    for passage, said in every.items():
        if passage not in kept and depth > 1 and said.isascii() and said.isprintable() and next(passages(said, depth - 1, plain), None):
            kept[passage] = said
    return kept


def _undone(texts: list[str], plain: Callable[[str], str]) -> list[str]:
    """``plain`` of each, all at once: for many short texts one after another it would be slow."""
    done = plain(_BETWEEN_TEXTS.join(texts)).split(_BETWEEN_TEXTS.strip()) if texts else []
    return done if len(done) == len(texts) else texts


def _apart(new: list[tuple[Edit, str]], taken: Offsets) -> list[tuple[Edit, str]]:
    """Those that do not overlap with what is ``taken``: starts and ends, in order."""
    if not new or not len(taken):
        return new
    after = np.searchsorted(taken[:, 1], [edit.start for edit, _ in new], side="right")
    limits = np.append(taken[:, 0], np.iinfo(np.int64).max)[after].tolist()
    return [item for item, limit in zip(new, limits, strict=True) if item[0].end <= limit]
