"""Write ``src/charter/core/normalise/confusables.txt``: letters that look like a Latin one, by the Latin letter.

Run: pip install confusable-homoglyphs==3.3.1 && python tools/make_confusables.py
The package (MIT) carries Unicode's confusables.txt (UTS 39) whole; kept here are single letters whose look-alike is one ASCII letter, and those
that Unicode's own names call a small capital, a modifier or an enclosed form of one. What NFKC folds by itself is left out.
"""

from __future__ import annotations

import json
import re
import string
import sys
import unicodedata
from importlib.resources import files
from pathlib import Path

OUT = Path(__file__).parent.parent / "src" / "charter" / "core" / "normalise" / "confusables.txt"
HEAD = """# Letters that look like an ASCII letter: that letter, a blank, its look-alikes. Written by tools/make_confusables.py.
# From the Unicode security data (UTS 39, confusables.txt), copyright Unicode, Inc., Unicode License v3, as carried by confusable-homoglyphs 3.3.1.
"""
_NAMES = re.compile(
    r"^(?:LATIN LETTER SMALL CAPITAL|MODIFIER LETTER (?:SMALL|CAPITAL)|(?:NEGATIVE |CROSSED NEGATIVE )?(?:SQUARED|CIRCLED) LATIN (?:CAPITAL|SMALL)"
    r" LETTER|REGIONAL INDICATOR SYMBOL LETTER|LATIN SUBSCRIPT SMALL LETTER) ([A-Z])$"
)

_CASED = re.compile(r"^(?:CYRILLIC|GREEK|COPTIC|CHEROKEE) ")


def main() -> None:
    table = json.loads((files("confusable_homoglyphs") / "confusables.json").read_text(encoding="utf-8"))
    fold: dict[str, str] = {}
    for char in table:
        target = prototype(table, char)
        if len(char) == 1 and not char.isascii() and target and unicodedata.category(char)[0] == "L":
            fold[char] = target
    for code in range(0x80, 0x20000):
        name = _NAMES.match(unicodedata.name(chr(code), ""))
        if name:
            fold[chr(code)] = name[1].lower()
    for char, target in list(fold.items()):
        if target == "l" and unicodedata.category(char) == "Lu":
            fold[char] = "I"  # the data make no difference between l and I
        if target.isupper() and len(char.lower()) == 1 and _CASED.match(unicodedata.name(char)):
            fold.setdefault(char.lower(), target.lower())  # к is as good a k as К is a K
    fold |= {"η": "n", "μ": "u", "ω": "w", "ς": "c", "℮": "e"}
    lines = []
    for letter in string.ascii_letters:
        alike = sorted(c for c, target in fold.items() if target == letter and unicodedata.normalize("NFKC", c) == c)
        lines.append(f"{letter} {''.join(alike)}")
    OUT.write_text(HEAD + "\n".join(lines) + "\n", encoding="utf-8")
    sys.stdout.write(f"{OUT}: {sum(len(line) - 2 for line in lines)} look-alikes, {OUT.stat().st_size} bytes\n")


def prototype(table: dict[str, list[dict[str, str]]], char: str) -> str:
    """The one ASCII letter among what ``char`` is listed with, '' if there is none or several."""
    found = {entry["c"] for entry in table[char] if len(entry["c"]) == 1 and entry["c"] in string.ascii_letters}
    return found.pop() if len(found) == 1 else ""


if __name__ == "__main__":
    main()
