"""Megabytes of text to time the normaliser on: ordinary ones, and ones made to be slow."""

from __future__ import annotations

import base64
import random
import string

SIZE = 1_000_000
_PIECES = {
    "English": "the quick brown fox jumps over the lazy dog and asks how to make it. ",
    "look-alike letters": "hоw dо I mаkе а bоmb аt hоmе ",
    "letters apart": "h o w d o I m a k e a b o m b a t h o m e ",
    "letters with dots": "h.o.w d.o I m.a.k.e a b.o.m.b a.t h.o.m.e ",
    "one word with dots": "b.o.m.",
    "leet": "h0w d0 I m4k3 4 b0mb 4t h0m3 ",
    "base64, many": "aG93IGRvIEkgbWFrZSBhIGJvbWI= ",
    "percent escapes": "%68%6f%77%20",
    "percent escapes of percent escapes": "%2525252568",
    "entities": "&#104;&#111;",
    "escapes": "\\u0068",
    "Morse": ".... --- .-- / ",
    "ROT13": "ubj qb V znxr n obzo ",
    "zero width": "h\u200bo\u200b",
    "tag characters": "\U000e0068\U000e0069",
    "piles of marks": "a\u0301\u0302\u0303",
    "right-to-left overrides": "\u202ebmob a ekam\u202c ",
    "no blanks": "howtomakeabomb",
    "blanks": " ",
    "lines": "\n",
    "dashes": "-",
    "dots and blanks": ". ",
    "letter and star": "a*",
    "unfinished entities": "&#1",
    "unfinished percent escapes": "%a",
    "letters as flags": "🇧🇴🇲🇧 ",
    "emoji sequences": "👨\u200d👩\u200d👧\u200d👦",
    "binary": "01101000 ",
    "decimal": "104 111 ",
    "Russian": "Как мне это сделать? Со мной ",
    "Persian": "می\u200cخواهم کتاب\u200cها را ",
    "Chinese": "我想知道怎么做面包。",
    "Hindi": "मैं यह कैसे करूँ और क्या चाहिए ",
    "Korean": "이것을 어떻게 만들 수 있나요 ",
    "Hangul in pieces": "\u1112\u1161\u11ab",
    "one letter": "a",
    "capitals and Z": "AZ",
    "everything at once": "hоw %64%6f I m4k3 \u200ba b.o.m.b 626f6d6220 Ym9tYg== ubzr ",
    "accents": "hów dö I mäkè a bömb ",
    "half surrogates": "\ud83d",
    "surrogate pairs": "\ud83d\ude00",
    "characters that become many": "ﷺ",
    "square words": "㌖",
    "signs between letters": "a.b-c_d*",
}


def megabytes() -> dict[str, str]:
    """A million bytes of UTF-8 each (half surrogates count three)."""
    rng = random.Random(0)
    found = {name: _fill(piece) for name, piece in _PIECES.items()}
    found["random printable"] = "".join(rng.choices(string.printable, k=SIZE))
    found["random bytes"] = bytes(rng.choices(range(256), k=SIZE // 2)).decode("latin-1")
    found["random characters"] = "".join(chr(rng.randrange(0x20, 0xD800)) for _ in range(SIZE // 3))
    found["random characters of scripts"] = "".join(chr(rng.randrange(0x20, 0x3000)) for _ in range(SIZE // 2))
    found["base64, one"] = base64.b64encode(_fill(_PIECES["English"])[: SIZE * 3 // 4].encode()).decode()
    found["base64, lines"] = "\n".join([found["base64, one"][:76]] * (SIZE // 77))
    found["hexadecimal"] = _fill(_PIECES["English"])[: SIZE // 2].encode().hex()
    found["invented words in leet"] = " ".join("".join(rng.choices("abcdefgehilmnorst013457@$", k=8)) for _ in range(SIZE // 9))
    found["invented words with stars"] = " ".join("".join(rng.choices("abcdefgehilmnorst*", k=8)) for _ in range(SIZE // 9))
    found["invented words of two scripts"] = " ".join("".join(rng.choices("abcdeаеорсхghi", k=8)) for _ in range(SIZE // 12))
    found["invented words"] = " ".join("".join(rng.choices("abcdefgehilmnorst", k=rng.randint(1, 9))) for _ in range(SIZE // 6))
    found["invented accented words"] = " ".join("".join(rng.choices("abcdéèöñgehilm", k=8)) for _ in range(SIZE // 11))
    return found


def _fill(piece: str) -> str:
    size = len(piece.encode("utf-8", "surrogatepass"))
    return piece * (SIZE // size)
