"""More megabytes made to be slow: nothing in them comes twice, so that no table of what was seen before helps."""

from __future__ import annotations

import base64
import codecs
import random
import string
import unicodedata
from collections.abc import Callable, Iterator

from _disguises import CODES, SHAPES

from charter.core.normalise.lexicon import ranks

SIZE = 1_000_000
Draw = Callable[[random.Random], str]
_PRINTABLE = string.ascii_letters + string.digits + string.punctuation + " "
_MARKS = [chr(point) for point in range(0x300, 0x2E00) if unicodedata.category(chr(point)) == "Mn"]
_FORMED = [chr(point) for point in range(0xA0, 0x1F200) if unicodedata.normalize("NFKC", chr(point)) != chr(point)]
_BIDI = "\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\u061c"
_WORDS = [word for word in ranks() if len(word) > 3]
_ALIKE = [str.maketrans("aeopcx", alike) for alike in ("аеорсх", "aеoрcх")]
_TURNED = "ɐqɔpǝɟƃɥᴉɾʞlɯuodbɹsʇnʌʍxʎz "
_MORSE = ".- -... -.-. -.. . ..-. --. .... .. .--- -.- .-.. -- -. --- .--. --.- .-. ... - ..- ...- .-- -..- -.-- --.. / / / /".split()


def invented(rng: random.Random, letters: str = string.ascii_lowercase, least: int = 3, most: int = 9) -> str:
    return "".join(rng.choices(letters, k=rng.randint(least, most)))


def phrase(rng: random.Random, count: int = 4) -> str:
    return " ".join(rng.choices(_WORDS, k=count))


def _b64(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def _b32(text: str) -> str:
    return base64.b32encode(text.encode()).decode()


def _leet(word: str, rng: random.Random) -> str:
    signs = {"a": "4@", "e": "3", "i": "1!", "o": "0", "s": "5$", "t": "7+", "l": "1|"}
    return "".join(rng.choice(signs[c]) if c in signs and rng.random() < 0.7 else c for c in word)


def _drawn_out(word: str, rng: random.Random) -> str:
    return "".join(c * rng.choice((1, 1, 1, 3, 4)) for c in word)


def _log(rng: random.Random) -> str:
    return f"10.0.0.{rng.randrange(256)} {rng.randbytes(16).hex('-', 4)} GET /{rng.choice(_WORDS)}?q={invented(rng)}%20{invented(rng)}"


def _disguised(rng: random.Random) -> str:
    how = rng.choice([*SHAPES.values(), *CODES.values()])
    return how(phrase(rng), rng)


#: Pieces, each drawn anew, with a blank between them.
_SPACED: dict[str, Draw] = {
    "all words different": lambda rng: invented(rng, least=6, most=10),
    "invented words in capitals and small letters": lambda rng: invented(rng, string.ascii_letters, 8, 12),
    "real words in leet": lambda rng: _leet(rng.choice(_WORDS), rng),
    "real words with a star": lambda rng: (w := rng.choice(_WORDS))[: (n := rng.randrange(1, len(w)))] + "*" + w[n:],
    "real words with signs between letters": lambda rng: "".join(c + rng.choice(".-*_|~") for c in rng.choice(_WORDS)),
    "real words drawn out": lambda rng: _drawn_out(rng.choice(_WORDS), rng),
    "real words with a blank in each": lambda rng: (w := rng.choice(_WORDS))[: (n := rng.randrange(1, len(w)))] + " " + w[n:],
    "real words in ROT13": lambda rng: codecs.encode(rng.choice(_WORDS), "rot13"),
    "real words backwards": lambda rng: rng.choice(_WORDS)[::-1],
    "real words with look-alikes": lambda rng: rng.choice(_WORDS).translate(rng.choice(_ALIKE)),
    "letters apart at random": lambda rng: (" " * rng.randint(0, 3)).join(rng.choice(_WORDS)),
    "base64 of phrases, many": lambda rng: _b64(phrase(rng)),
    "base64 of invented words, many": lambda rng: _b64(f"{invented(rng)} {invented(rng)}"),
    "base64 of nothing readable, many": lambda rng: base64.b64encode(rng.randbytes(9)).decode(),
    "base64 of printable characters, many": lambda rng: _b64(invented(rng, _PRINTABLE, 9, 20)),
    "base64 of hexadecimal, many": lambda rng: _b64(phrase(rng, 2).encode().hex()),
    "base64 of base64 of printable characters, many": lambda rng: _b64(_b64(invented(rng, _PRINTABLE, 9, 20))),
    "base64 of letters under marks, many": lambda rng: _b64("".join(rng.choice(string.ascii_letters) + rng.choice(_MARKS) for _ in range(8))),
    "escapes of words": lambda rng: "".join(f"\\u{ord(c):04x}" for c in invented(rng)),
    "octal escapes of words": lambda rng: "".join(f"\\{ord(c):03o}" for c in rng.choice(_WORDS)),
    "base32 of phrases, many": lambda rng: _b32(phrase(rng)),
    "base32 of invented words, many": lambda rng: _b32(invented(rng, least=10, most=20)),
    "random base32, many": lambda rng: invented(rng, string.ascii_uppercase + "234567", 16, 16),
    "hexadecimal of phrases, many": lambda rng: phrase(rng, 2).encode().hex(),
    "random hexadecimal, many": lambda rng: invented(rng, "0123456789abcdef", 16, 16),
    "random bytes in hexadecimal": lambda rng: invented(rng, "0123456789abcdef", 2, 2),
    "random decimal codes": lambda rng: str(rng.randrange(32, 127)),
    "random binary": lambda rng: f"{rng.randrange(32, 127):08b}",
    "random percent escapes": lambda rng: "".join(f"%{rng.randrange(256):02x}" for _ in range(6)),
    "percent escapes of phrases": lambda rng: "".join(f"%{ord(c):02x}" for c in phrase(rng, 2)),
    "random entities": lambda rng: "".join(f"&#{rng.randrange(32, 99999)};" for _ in range(6)),
    "random Morse": lambda rng: rng.choice(_MORSE),
    "Morse and words": lambda rng: rng.choice((*_MORSE, *_MORSE, rng.choice(_WORDS))),
    "logs": _log,
    "source": lambda rng: f"self._{rng.choice(_WORDS)}[{rng.randrange(999)}] = 0x{rng.randrange(65536):04x};\n",
    "every disguise in turn": _disguised,
}  # fmt: skip
#: The same without a blank.
_RUN_ON: dict[str, Draw] = {
    "random escapes": lambda rng: f"\\u{rng.randrange(65536):04x}",
    "random octal escapes": lambda rng: f"\\{rng.randrange(32, 127):03o}",
    "letters under random marks": lambda rng: rng.choice(string.ascii_letters) + "".join(rng.choices(_MARKS, k=rng.randint(0, 5))),
    "one letter under random marks": lambda rng: rng.choice(_MARKS),
    "random forms of characters": lambda rng: rng.choice(_FORMED),
    "bidi controls between letters": lambda rng: rng.choice(string.ascii_lowercase) + rng.choice(_BIDI),
    "short overrides": lambda rng: f"\u202e{invented(rng)}\u202c ",
    "tag characters, broken": lambda rng: "".join(chr(0xE0000 + rng.randrange(32, 127)) for _ in range(rng.randint(1, 6))) + "\U0001f3f4",
    "random variation selectors": lambda rng: "x" + "".join(chr(0xE0100 + rng.randrange(240)) for _ in range(rng.randint(1, 8))),
    "random flags": lambda rng: chr(0x1F1E6 + rng.randrange(26)) + rng.choice(("", "", " ")),
    "random emoji and joiners": lambda rng: chr(rng.randrange(0x1F300, 0x1F9FF)) + rng.choice(("\u200d", "\ufe0f", "")),
    "random Hangul in pieces": lambda rng: chr(0x1100 + rng.randrange(19)) + chr(0x1161 + rng.randrange(21)) + rng.choice(("", "\u11ab")),
    "upside down, random": lambda rng: rng.choice(_TURNED),
    "one word of real words": lambda rng: rng.choice(_WORDS),
    "one word of random letters": lambda rng: rng.choice(string.ascii_lowercase),
    "camel case": lambda rng: rng.choice(_WORDS).title(),
    "random letters and signs": lambda rng: rng.choice(string.ascii_lowercase) + rng.choice(".-*_|~+/,:; "),
    "one letter a line": lambda rng: rng.choice(string.ascii_lowercase) + "\n",
}  # fmt: skip


def drawn() -> Iterator[tuple[str, str]]:
    """A million bytes of UTF-8 each, or a little less."""
    for between, kinds in ((" ", _SPACED), ("", _RUN_ON)):
        for name, draw in kinds.items():
            yield name, _fill(draw, between, random.Random(name))
    rng = random.Random("codes")
    printable = "".join(rng.choices(_PRINTABLE, k=SIZE * 3 // 4))
    words = " ".join(invented(rng) for _ in range(SIZE // 10))
    yield "base64 of printable characters", _b64(printable)
    yield "base64 of random bytes", base64.b64encode(rng.randbytes(SIZE * 3 // 4)).decode()
    yield "base64 of invented words", _b64(words[: SIZE * 3 // 4])
    yield "base64 of base64 of base64", _b64(_b64(_b64(words[: SIZE * 27 // 64])))
    yield "base64 of base64 of base64, lines", "\n".join(_chunks(_b64(_b64("\n".join(_chunks(_b64(words[: SIZE * 27 // 64]))))), 76))
    yield "base32 of phrases", _b32(phrase(rng, SIZE // 9)[: SIZE * 5 // 8])
    yield "hexadecimal of base64", _b64(words[: SIZE * 3 // 8]).encode().hex()
    yield "hexadecimal of printable characters", printable[: SIZE // 2].encode().hex()


def _chunks(text: str, size: int = 76) -> list[str]:
    return [text[at : at + size] for at in range(0, len(text), size)]


def _fill(draw: Draw, between: str, rng: random.Random) -> str:
    """Pieces until a megabyte is full."""
    pieces: list[str] = []
    size = 0
    while size < SIZE:
        pieces.append(draw(rng))
        size += len((pieces[-1] + between).encode("utf-8", "surrogatepass"))
    return between.join(pieces[:-1])
