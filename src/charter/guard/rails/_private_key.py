"""Private keys in PEM form: from the BEGIN line to the END line or, where there is none (cut off, or still to come), as far as key material goes.

Key material is lines of base64, headers before them (Proc-Type, DEK-Info, a Comment) and blank lines, also quoted with >, indented, or in one line
with \\n written out or spaces instead of line ends. Prose is not.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

_BEGIN = re.compile(r"-----BEGIN (?:[A-Z0-9]+ ){0,3}PRIVATE KEY(?: BLOCK)?-----")
_EDGE = re.compile(r"-----(BEGIN|END) [A-Z0-9 ]{0,40}-----")
#: Characters from BEGIN to END: an RSA key of 16,384 bits has 12,700.
_LONGEST = 20_000
_LINE_END = re.compile(r"\\{1,4}[nr]|[\r\n]")
_HEADER = re.compile(r"[A-Za-z][A-Za-z0-9-]{1,30}: ?\S")
_BASE64 = re.compile(r"[A-Za-z0-9+/=]+")
#: Around a line in quotes, in a string of a program, in a list or a table.
_AROUND = " \t>|\"'`,;()[]{}\\"
_CLOSED = re.compile(r"(?<=[A-Za-z0-9+/=])[\"'`<]")
#: A piece this long is no word of a sentence.
_LONG = 24


def find_private_keys(text: str) -> Iterator[tuple[int, int]]:
    """Where they stand. Linear in the text: every stretch after a BEGIN is read up to the next one."""
    begins = [match.span() for match in _BEGIN.finditer(text)]
    for number, (start, body) in enumerate(begins):
        stop = begins[number + 1][0] if number + 1 < len(begins) else len(text)
        edge = _EDGE.search(text, body, min(stop, body + _LONGEST))
        yield start, edge.end() if edge and edge[1] == "END" else _end_of_material(text, body, edge.start() if edge else stop)


def _end_of_material(text: str, at: int, stop: int) -> int:
    end, keyed, blank = at, False, False
    while at < stop:
        found = _LINE_END.search(text, at, stop)
        line_end = found.start() if found else stop
        line = text[at:line_end]
        bare = line.strip(_AROUND)
        if not bare:
            blank = True
        elif not blank and _BASE64.fullmatch(line):  # as nearly all are
            end, keyed = line_end, True
        elif not keyed and _HEADER.match(bare):
            end, blank = line_end, False
        else:
            length, whole = _key_part(line, after_a_gap=keyed and blank)
            if length:
                end, keyed, blank = at + length, True, False
            if not whole:
                return end
        at = found.end() if found else stop
    return end


def _key_part(line: str, after_a_gap: bool) -> tuple[int, bool]:
    """How many characters of the line are key material, and whether that is all of it. A last piece may be short; one word after a gap is prose."""
    closed = _CLOSED.search(line)
    said, rest = (line[: closed.start()], line[closed.start() :]) if closed else (line, "")
    pieces = [piece for piece in (word.strip(_AROUND) for word in said.split()) if piece]
    end, place = 0, 0
    for number, piece in enumerate(pieces, 1):
        place = line.index(piece, place)
        last = number == len(pieces) and (number == 1 or end > 0) and not (after_a_gap and piece.isalpha())
        if not _BASE64.fullmatch(piece) or not (last or len(piece) >= _LONG):
            return end, False
        end = place = place + len(piece)
    return end, not rest.strip(_AROUND + "+")
