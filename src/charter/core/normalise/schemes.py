"""The encodings that are read, each with what finds a passage in it and what reads one."""

from __future__ import annotations

import base64
import binascii
import html
import re
from collections.abc import Callable, Sequence
from typing import NamedTuple
from urllib.parse import unquote_to_bytes

from charter.core.normalise import at_once, begins
from charter.core.normalise.at_once import utf8
from charter.core.normalise.mapped import Offsets
from charter.core.normalise.scan import Scan

Decoder = Callable[[str], "str | None"]


class Scheme(NamedTuple):
    """``pattern`` finds candidates, ``decode`` reads one or returns None; ``sure`` candidates need not read as language;
    a text without any of ``signs`` has none; ``begins`` says where in a long text one can begin, ``places`` where all begin and end; ``many``
    reads many as ``decode`` reads one; ``needs`` are characters of which each passage in ASCII has so many."""

    name: str
    pattern: re.Pattern[str]
    decode: Decoder
    begins: Callable[[Scan], Offsets]
    sure: bool = False
    signs: tuple[str, ...] = ("",)
    places: Callable[[Scan], tuple[Offsets, Offsets]] | None = None
    many: Callable[[Sequence[str]], list[str | None]] | None = None
    needs: tuple[bytes, int] = (b"", 0)


def _base64(text: str) -> str | None:
    text = "".join(text.split())
    body = text.rstrip("=").translate({ord("-"): "+", ord("_"): "/"})
    if body.isdigit() or body.islower() or body.isupper() or body.istitle() or len(body) % 4 == 1:
        return None
    try:
        return utf8(base64.b64decode(body + "=" * (-len(body) % 4), validate=True))
    except (binascii.Error, ValueError):
        return None


def _base32(text: str) -> str | None:
    body = text.rstrip("=")
    try:
        return utf8(base64.b32decode(body + "=" * (-len(body) % 8)))
    except (binascii.Error, ValueError):
        return None


_BETWEEN = re.compile(r"0x|\\x|[\s:,\-]")


def _hex(text: str) -> str | None:
    digits = text if text.isalnum() and "x" not in text else _BETWEEN.sub("", text.replace(" ", ""))
    return None if digits.isdigit() and len(digits) < 24 else utf8(bytes.fromhex(digits))


def _binary(text: str) -> str | None:
    digits = "".join(text.replace(",", " ").split())
    return utf8(int(digits, 2).to_bytes(len(digits) // 8))


def _decimal(text: str) -> str | None:
    numbers = list(map(int, text.replace(",", " ").replace(";", " ").split()))
    return "".join(map(chr, numbers)) if _ASCII.issuperset(numbers) else None


#: Codes of what is printed, and of tabs and ends of lines.
_ASCII = frozenset((9, 10, 13, *range(32, 127)))


def _percent(text: str) -> str | None:
    """A token with percent escapes; form encoding writes blanks as plus signs."""
    if text.isascii():
        raw = unquote_to_bytes(text).decode("utf-8", "surrogateescape")
    else:
        raw = re.sub(r"(?:%[0-9a-fA-F]{2})+", lambda found: bytes.fromhex(found[0].replace("%", "")).decode("utf-8", "surrogateescape"), text)
    said = raw.replace("+", " ")
    return None if BROKEN.search(said) else said  # bytes that are no UTF-8 have become lone surrogates


def _percents(tokens: Sequence[str]) -> list[str | None]:
    plain = [token for token in tokens if token.isascii()]
    said = dict(zip(plain, at_once.percent(plain), strict=True))
    return [said[token] if token in said else _percent(token) for token in tokens]


#: Characters that no text has: halves of surrogate pairs and most control characters.
BROKEN = re.compile("[\ud800-\udfff\x00-\x08\x0e-\x1f]")


def _entity(text: str) -> str | None:
    return html.unescape(re.sub(r"(&#(?:\d{2,7}|[xX][0-9a-fA-F]{2,6}))(?![\da-fA-F;])", r"\1;", text))


def _entities(tokens: Sequence[str]) -> list[str | None]:
    """No entity becomes half of a surrogate pair, so these keep tokens apart; where a token has one itself all are read one by one."""
    said = (_entity(_HALF.join(tokens)) or "").split(_HALF)
    return [*said] if len(said) == len(tokens) else [_entity(token) for token in tokens]


_HALF = "\n\udbff\n"


def _escape(text: str) -> str | None:
    """Code points, but bytes where a whole run of \\x escapes is UTF-8."""
    said = _BYTES.sub(lambda run: utf8(bytes.fromhex(run[0].replace("\\x", ""))) or run[0], text)
    said = _ONE.sub(lambda found: chr(min(int(re.sub(r"[^0-9a-fA-F]", "", found[0].lstrip("\\uUx+")), 16), 0x10FFFF)), said)
    return said.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


def _octal(text: str) -> str | None:
    return utf8(bytes(int(number, 8) & 0xFF for number in re.findall(r"[0-7]{3}", text)))


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
    Scheme(
        "entities",
        re.compile(r"(?<!\S)\S*?&#[\dxX][\da-fA-F]\S*"),
        _entity,
        begins.entities,
        sure=True,
        signs=("&#",),
        places=begins.entity_places,
        many=_entities,
    ),
    Scheme(
        "percent",
        re.compile(r"(?<!\S)\S*?%[0-9a-fA-F]{2}\S*"),
        _percent,
        begins.percent,
        sure=True,
        signs=("%",),
        places=begins.percent_places,
        many=_percents,
    ),
    Scheme(
        "base64",
        re.compile(r"(?<![A-Za-z0-9+/_\-])(?:[A-Za-z0-9+/_\-]{40,}+[ \t]*+\r?\n[ \t]*+)+[A-Za-z0-9+/_\-]{2,}+={0,2}"),
        _base64,
        begins.wrapped,
        signs=("\n",),
    ),
    Scheme("binary", re.compile(r"(?<![0-9])[01]{8}(?:[\s,]{0,2}[01]{8}){2,}(?![0-9])"), _binary, begins.binary, needs=(b"01", 24)),
    Scheme("hex", re.compile(rf"(?<![0-9a-zA-Z]){_UNIT}(?:[\s:,\-]?{_UNIT}){{3,}}(?![0-9a-zA-Z])"), _hex, begins.hexadecimal),
    Scheme(
        "base32",
        re.compile(r"(?<![A-Z0-9])[A-Z2-7]{8,}+={0,6}+(?![A-Za-z0-9])"),
        _base32,
        begins.base32,
        places=begins.base32_places,
        many=at_once.base32,
        needs=(b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567", 8),
    ),
    Scheme(
        "base64",
        re.compile(r"(?<![A-Za-z0-9+/_\-])(?:[A-Za-z0-9+/_\-]{8,}+={0,2}|[A-Za-z0-9+/_\-]{6,7}={1,2})"),
        _base64,
        begins.base64,
        places=begins.base64_places,
        many=at_once.base64,
    ),
    Scheme("decimal", re.compile(r"(?<![\d.])\d{2,3}(?:[\s,;]{1,2}\d{2,3}){3,}(?![\d.])"), _decimal, begins.decimal, needs=(b"0123456789", 8)),
    Scheme("morse", re.compile(rf"(?<!\S)(?:{_SIGN}{{1,6}}(?:\s{{1,4}}|\s?[/|]\s?)){{3,}}{_SIGN}{{1,6}}"), _morse, begins.morse),
)
