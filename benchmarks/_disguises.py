"""Disguises for texts, for ``normaliser.py``: each takes a text and a random generator and returns the text in disguise.

Written apart from the normaliser: the tables are made from Unicode names and plain codecs, not from its lists, so that a gap in those shows.
"""

from __future__ import annotations

import base64
import codecs
import random
import re
import unicodedata
from collections.abc import Callable
from functools import cache
from urllib.parse import quote, quote_plus

Disguise = Callable[[str, random.Random], str]


@cache
def _named(pattern: str) -> dict[str, str]:
    """Letters whose Unicode name is ``pattern`` with the letter for {}: 'MATHEMATICAL BOLD {case} {letter}'."""
    found = {}
    for letter in "abcdefghijklmnopqrstuvwxyz":
        for case, char in (("SMALL", letter), ("CAPITAL", letter.upper())):
            try:
                found[char] = unicodedata.lookup(pattern.format(case=case, letter=letter.upper()))
            except KeyError:
                continue
    return found


def _letters(*patterns: str, share: float = 1.0) -> Disguise:
    def disguise(text: str, rng: random.Random) -> str:
        table = {}
        for pattern in patterns:
            table |= {k: v for k, v in _named(pattern).items() if k not in table}
        return "".join(table.get(c, table.get(c.lower(), table.get(c.upper(), c))) if rng.random() < share else c for c in text)

    return disguise


def _table(pairs: dict[str, str], share: float) -> Disguise:
    return lambda text, rng: "".join(rng.choice(pairs[c]) if c in pairs and rng.random() < share else c for c in text)


_CYRILLIC = dict(zip("aceopxyijsABCEHIKMOPTXJS", "асеорхуіјѕАВСЕНІКМОРТХЈЅ", strict=True))
_GREEK = dict(zip("aeiknoptuvxABEHIKMNOPTXYZ", "αειкηορτυνχΑΒΕΗΙΚΜΝΟΡΤΧΥΖ", strict=True)) | {"k": "κ"}
_MANY = {
    "a": "аɑαａ𝐚", "b": "Ьｂ𝒷", "c": "сϲⅽ", "d": "ԁⅾ𝓭", "e": "еｅ𝐞℮", "f": "ｆ𝖋", "g": "ɡｇ", "h": "һｈ", "i": "іｉⅰ", "j": "јϳ", "k": "ｋκ",
    "l": "ⅼｌӏ",
    "m": "ｍⅿ", "n": "ｎո", "o": "оοօ", "p": "рｐ", "q": "ԛｑ", "r": "ｒг", "s": "ѕｓ", "t": "ｔ𝐭", "u": "ｕս", "v": "ѵⅴ",
    "w": "ԝｗ", "x": "хⅹ", "y": "уｙ",
    "z": "ｚᴢ",
}  # fmt: skip
_LEET = {"a": "4", "e": "3", "i": "1", "o": "0", "s": "5", "t": "7"}
_LEET_SIGNS = {"a": "@", "e": "3", "i": "!", "o": "0", "s": "$", "t": "7", "l": "1"}
_HEAVY = {"a": "4", "b": "8", "e": "3", "g": "9", "i": "1", "l": "1", "o": "0", "s": "5", "t": "7", "z": "2"}
_ACCENTS = "\u0300\u0301\u0302\u0303\u0308\u030a"
_INVISIBLE = "\u200b\u200c\u200d\u2060\ufeff\u00ad\u180e"
_BIDI = "\u200e\u200f\u202a\u202c\u2066\u2069\u061c"
_TURNED = dict(zip("abcdefghijklmnopqrstuvwxyz?!.,'", "ɐqɔpǝɟƃɥᴉɾʞlɯuodbɹsʇnʌʍxʎz¿¡˙'‚", strict=True))
_CODES = (
    ".- -... -.-. -.. . ..-. --. .... .. .--- -.- .-.. -- -. --- .--. --.- .-. ... - ..- ...- .-- -..- -.-- --.. "
    "----- .---- ..--- ...-- ....- ..... -.... --... ---.. ----."
)
_MORSE = dict(zip("abcdefghijklmnopqrstuvwxyz0123456789", _CODES.split(), strict=True))


def _after(mark: str, share: float) -> Disguise:
    return lambda text, rng: "".join(c + rng.choice(mark) if c.isalpha() and rng.random() < share else c for c in text)


def _zalgo(text: str, rng: random.Random) -> str:
    return "".join(c + "".join(chr(rng.randrange(0x300, 0x370)) for _ in range(rng.randint(2, 6))) if c.isalpha() else c for c in text)


def _flags(text: str, rng: random.Random) -> str:
    return "".join(chr(0x1F1E6 + ord(c) - 97) + "\u200b" if "a" <= c <= "z" else c for c in text.lower())


def _apart(between: str, words: str) -> Disguise:
    def disguise(text: str, rng: random.Random) -> str:
        sign = rng.choice(between)
        return words.join(sign.join(word) for word in text.split())

    return disguise


def _word_signs(text: str, rng: random.Random) -> str:
    """A sign inside every longer word."""
    return " ".join(w[: (n := rng.randrange(1, len(w)))] + rng.choice(".-*_|~") + w[n:] if len(w) > 3 and w.isalpha() else w for w in text.split())


def _word_blanks(text: str, rng: random.Random) -> str:
    return " ".join(w[: (n := rng.randrange(1, len(w)))] + " " + w[n:] if len(w) > 3 and w.isalpha() else w for w in text.split())


def _drawn(text: str, rng: random.Random) -> str:
    return " ".join(w[: (n := rng.randrange(len(w)))] + w[n] * rng.randint(2, 5) + w[n:] if len(w) > 3 and w.isalpha() else w for w in text.split())


def _joined(*signs: str, mixed: bool = False) -> Disguise:
    """Words with one of the signs between them instead of blanks, or each time another."""

    def disguise(text: str, rng: random.Random) -> str:
        sign = rng.choice(signs)
        words = text.split()
        return "".join(word + (rng.choice(signs) if mixed else sign) for word in words[:-1]) + words[-1] if words else text

    return disguise


def _cased(text: str, rng: random.Random) -> str:
    return "".join(c.upper() if n % 2 else c.lower() for n, c in enumerate(text))


def _camel(text: str, rng: random.Random) -> str:
    return "".join(w[:1].upper() + w[1:] for w in re.findall(r"[A-Za-z0-9]+", text))


def _run_on(text: str, rng: random.Random) -> str:
    return "".join(re.findall(r"[a-z]+", text.lower()))


def _tags(text: str, rng: random.Random) -> str:
    return "What a lovely day!" + "".join(chr(0xE0000 + ord(c)) for c in text if 0x20 <= ord(c) < 0x7F)


def _selectors(text: str, rng: random.Random) -> str:
    raw = text.encode()
    return "Nice \U0001f600" + "".join(chr(0xFE00 + b) if b < 16 else chr(0xE0100 + b - 16) for b in raw) + " thanks"


def _override(text: str, rng: random.Random) -> str:
    return f"\u202e{text[::-1]}\u202c"


def _turned(text: str, rng: random.Random) -> str:
    return "".join(_TURNED.get(c, c) for c in text.lower())[::-1]


def _morse(gap: str) -> Disguise:
    def disguise(text: str, rng: random.Random) -> str:
        return gap.join(" ".join(_MORSE[c] for c in w) for w in re.findall(r"[a-z0-9]+", text.lower()))

    return disguise


def _b64(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def _wrapped(text: str, rng: random.Random) -> str:
    code = _b64(text)
    return "\n".join(code[n : n + 48] for n in range(0, len(code), 48))


def _key_words(encode: Callable[[str], str]) -> Disguise:
    """Only the long words are encoded, the rest stays."""
    return lambda text, rng: " ".join(encode(w) if len(w) > 5 and w.isalpha() else w for w in text.split())


def _asked(encode: Callable[[str], str]) -> Disguise:
    """The encoded text behind an order to decode it."""
    openings = ("Decode this and do what it says: ", "Here is a message for you:\n\n", "Translate the following and answer it. ")
    return lambda text, rng: rng.choice(openings) + encode(text)


def _plain(encode: Callable[[str], str]) -> Disguise:
    return lambda text, rng: encode(text)


def _percent(text: str) -> str:
    return "".join(f"%{b:02X}" for b in text.encode())


#: Letters, signs and order: what a reader still reads.
SHAPES: dict[str, Disguise] = {
    "cyrillic letters": _table(_CYRILLIC, 1.0),
    "cyrillic letters, some": _table(_CYRILLIC, 0.4),
    "greek letters": _table(_GREEK, 1.0),
    "greek letters, some": _table(_GREEK, 0.4),
    "look-alikes of many scripts": _table(_MANY, 0.5),
    "full width": _letters("FULLWIDTH LATIN {case} LETTER {letter}"),
    "mathematical bold": _letters("MATHEMATICAL BOLD {case} {letter}"),
    "mathematical italic": _letters("MATHEMATICAL SANS-SERIF BOLD ITALIC {case} {letter}"),
    "mathematical script": _letters("MATHEMATICAL BOLD SCRIPT {case} {letter}"),
    "mathematical fraktur": _letters("MATHEMATICAL BOLD FRAKTUR {case} {letter}"),
    "double-struck": _letters("MATHEMATICAL DOUBLE-STRUCK {case} {letter}"),
    "monospace": _letters("MATHEMATICAL MONOSPACE {case} {letter}"),
    "circled": _letters("CIRCLED LATIN {case} LETTER {letter}"),
    "negative circled": _letters("NEGATIVE CIRCLED LATIN {case} LETTER {letter}"),
    "squared": _letters("SQUARED LATIN {case} LETTER {letter}"),
    "negative squared": _letters("NEGATIVE SQUARED LATIN {case} LETTER {letter}"),
    "parenthesised": _letters("PARENTHESIZED LATIN {case} LETTER {letter}"),
    "small capitals": _letters("LATIN LETTER SMALL CAPITAL {letter}"),
    "superscript": _letters("MODIFIER LETTER {case} {letter}"),
    "flags": _flags,
    "accents": lambda t, r: unicodedata.normalize("NFC", "".join(c + r.choice(_ACCENTS) if c in "aeioun" else c for c in t)),
    "piles of marks": _zalgo,
    "struck through": _after("\u0336", 1.0),
    "slashed": _after("\u0338\u0337", 0.6),
    "underlined": _after("\u0332", 1.0),
    "upside down": _turned,
    "invisible characters everywhere": lambda t, r: "".join(c + r.choice(_INVISIBLE) for c in t),
    "invisible characters, some": _after(_INVISIBLE, 0.3),
    "soft hyphens": _after("\u00ad", 0.5),
    "joiner U+034F": _after("\u034f", 0.5),
    "hangul fillers": _after("\u3164", 0.4),
    "bidi controls": _after(_BIDI, 0.4),
    "tag characters between letters": lambda t, r: "".join(c + chr(0xE0061 + r.randrange(26)) for c in t),
    "variation selectors between letters": _after("\ufe0f\ufe00", 0.5),
    "odd blanks": lambda t, r: "".join(r.choice("\u00a0\u2002\u2003\u2009\u202f\u205f\u3000") if c == " " else c for c in t),
    "right-to-left override": _override,
    "hidden in tags": _tags,
    "hidden in variation selectors": _selectors,
    "blanks between letters": _apart(" ", "   "),
    "blanks between all letters alike": _apart(" ", " "),
    "dots between letters": _apart(".", " "),
    "one sign between letters": _apart("-_*|~+/", " "),
    "a letter a line": lambda t, r: "\n".join(t.replace(" ", "")),
    "a sign in each word": _word_signs,
    "a blank in each word": _word_blanks,
    "one sign between words": _joined(*"_-./+|~·•→‖"),
    "several signs between words": _joined("__", "--", "//", "||", "::", "·•", "-_-", "<>"),
    "another sign between all words": _joined(*"_-/+|~·•", mixed=True),
    "a sign with blanks between words": _joined(" · ", " | ", " / ", " + ", " • "),
    "emoji between words": _joined("\U0001f600", "\U0001f525", "\U0001f44d\U0001f3fd", "\u2764\ufe0f"),
    "letters drawn out": _drawn,
    "leet": _table(_LEET, 1.0),
    "leet, some": _table(_LEET, 0.5),
    "leet with signs": _table(_LEET_SIGNS, 1.0),
    "leet, heavy": lambda t, r: "".join(_HEAVY.get(c, c) for c in t.lower()),
    "changing case": _cased,
    "camel case without blanks": _camel,
    "no blanks": _run_on,
    "backwards": lambda t, r: t[::-1],
    "each word backwards": lambda t, r: " ".join(w[::-1] for w in t.split()),
}  # fmt: skip
#: What must be decoded.
CODES: dict[str, Disguise] = {
    "base64": _plain(_b64),
    "base64, url-safe, unpadded": _plain(lambda t: base64.urlsafe_b64encode(t.encode()).decode().rstrip("=")),
    "base64, wrapped": _wrapped,
    "base64, asked to decode": _asked(_b64),
    "base64, key words": _key_words(_b64),
    "base64, twice": _plain(lambda t: _b64(_b64(t))),
    "base32": _plain(lambda t: base64.b32encode(t.encode()).decode()),
    "hex": _plain(lambda t: t.encode().hex()),
    "hex, upper case with blanks": _plain(lambda t: t.encode().hex(" ").upper()),
    "hex, asked to decode": _asked(lambda t: t.encode().hex()),
    "hex, 0x": _plain(lambda t: " ".join(f"0x{b:02x}" for b in t.encode())),
    "hex, \\x": _plain(lambda t: "".join(f"\\x{b:02x}" for b in t.encode())),
    "unicode escapes": _plain(lambda t: "".join(f"\\u{ord(c):04x}" for c in t if ord(c) < 0x10000)),
    "binary": _plain(lambda t: " ".join(f"{b:08b}" for b in t.encode())),
    "decimal": _plain(lambda t: " ".join(str(b) for b in t.encode("ascii", "ignore"))),
    "octal escapes": _plain(lambda t: "".join(f"\\{b:03o}" for b in t.encode("ascii", "ignore"))),
    "url": _plain(quote),
    "url, plus signs": _plain(lambda t: "q=" + quote_plus(t)),
    "url, every character": _plain(_percent),
    "url, twice": _plain(lambda t: quote(quote(t))),
    "entities": _plain(lambda t: "".join(f"&#{ord(c)};" for c in t)),
    "entities, hex": _plain(lambda t: "".join(f"&#x{ord(c):X};" for c in t)),
    "entities, some": lambda t, r: "".join(f"&#{ord(c)};" if r.random() < 0.5 else c for c in t),
    "rot13": _plain(lambda t: codecs.encode(t, "rot13")),
    "rot13, asked to decode": _asked(lambda t: codecs.encode(t, "rot13")),
    "morse": _morse(" / "),
    "morse, bars": _morse(" | "),
    "morse, wide gaps": _morse("   "),
    "morse, asked to decode": lambda t, r: "Decode and answer: " + _morse(" / ")(t, r),
}
#: Ways in which a shape is put under another, or under a code; by name, in order.
FIRST = (
    "cyrillic letters, some", "look-alikes of many scripts", "full width", "mathematical bold", "accents", "leet", "leet, some", "changing case",
)  # fmt: skip
THEN = (
    "invisible characters, some", "soft hyphens", "bidi controls", "struck through", "variation selectors between letters", "odd blanks",
    "dots between letters", "blanks between letters", "a sign in each word",
)  # fmt: skip
OUTER = (
    "base64", "base64, wrapped", "base64, asked to decode", "base64, twice", "hex", "hex, \\x", "url, every character", "url, twice", "entities",
    "binary",
    "hidden in tags", "right-to-left override",
)  # fmt: skip
UNDER = ("cyrillic letters, some", "leet", "changing case", "invisible characters, some", "blanks between letters")
INNER = ("rot13", "base64", "hex", "url, every character", "backwards", "leet", "blanks between letters", "changing case", "morse")


def mixture(rng: random.Random) -> tuple[str, Disguise]:
    """Two or three disguises one over another, and their kind: shape over shape, code over shape, or code over code."""
    every = SHAPES | CODES
    kind = rng.choice(("shape over shape", "code over shape", "code over code", "code over two shapes"))
    if kind == "shape over shape":
        parts = [rng.choice(FIRST), rng.choice(THEN)]
    elif kind == "code over shape":
        parts = [
            rng.choice(UNDER),
            rng.choice(OUTER[:8]),
        ]
    elif kind == "code over code":
        parts = [rng.choice(INNER), rng.choice(OUTER)]
    else:
        parts = [rng.choice(("cyrillic letters, some", "leet, some", "changing case")), rng.choice(THEN[:6]), rng.choice(OUTER[:8])]

    def disguise(text: str, rng: random.Random) -> str:
        for part in parts:
            text = every[part](text, rng)
        return text

    return kind, disguise
