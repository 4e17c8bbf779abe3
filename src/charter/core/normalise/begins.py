"""Where the patterns of ``schemes.py`` can begin in a long text. Each function finds every place where its pattern matches, and few others."""

from __future__ import annotations

import numpy as np

from charter.core.normalise.mapped import Offsets
from charter.core.normalise.scan import Runs, Scan, after, before, in_a_row, runs

_BASE64, _HEX, _SIGN = r"A-Za-z0-9+/_\-", "0-9a-fA-F", r".\-·•∙*–—−_‐"


def escapes(scan: Scan) -> Offsets:
    return np.flatnonzero((scan.of(r"\\") & after(scan.of("uUx"))) | (scan.of("U") & after(scan.of("+"))))


def octal(scan: Scan) -> Offsets:
    return np.flatnonzero(scan.of(r"\\") & after(scan.of("0-3")) & after(scan.of("0-7"), 2))


def entities(scan: Scan) -> Offsets:
    return entity_places(scan)[0]


def entity_places(scan: Scan) -> tuple[Offsets, Offsets]:
    """All there are; so with the next ones."""
    return _tokens(scan, np.flatnonzero(scan.of("&") & after(scan.of("#")) & after(scan.of(r"\dxX"), 2) & after(scan.of(r"\da-fA-F"), 3)))


def percent(scan: Scan) -> Offsets:
    return percent_places(scan)[0]


def percent_places(scan: Scan) -> tuple[Offsets, Offsets]:
    digits = scan.of(_HEX)
    return _tokens(scan, np.flatnonzero(scan.of("%") & after(digits) & after(digits, 2)))


def _tokens(scan: Scan, places: Offsets) -> tuple[Offsets, Offsets]:
    """Where the tokens without blanks begin and end that hold ``places``."""
    if not len(places):
        return places, places
    blanks = np.flatnonzero(scan.of(r"\s"))
    numbers = np.searchsorted(blanks, places)
    numbers = numbers[np.append(True, numbers[1:] != numbers[:-1])]
    return np.append(-1, blanks)[numbers] + 1, np.append(blanks, len(scan.points))[numbers]


def wrapped(scan: Scan) -> Offsets:
    starts, ends = runs(scan.of(_BASE64))
    return starts[ends - starts >= 40]


def base64(scan: Scan) -> Offsets:
    """Long enough, and not what ``schemes.py`` refuses to read as base64: all digits, letters of one case only, an odd length."""
    return base64_places(scan)[0]


def base64_places(scan: Scan) -> tuple[Offsets, Offsets]:
    """With the signs of equality behind them."""
    found = Runs(scan.of(_BASE64))
    is_pad = np.append(scan.of("="), [False, False])
    padded = is_pad[found.ends]
    upper, lower, digits = (found.count(scan.of(chars)) for chars in ("A-Z", "a-z", "0-9"))
    refused = (digits == found.sizes) | ((upper == 0) != (lower == 0)) | (found.sizes % 4 == 1)
    some = ((found.sizes >= 8) | ((found.sizes >= 6) & padded)) & ~refused
    ends = found.ends[some]
    return found.starts[some], ends + padded[some] + (padded[some] & is_pad[ends + 1])


def base32(scan: Scan) -> Offsets:
    return base32_places(scan)[0]


def base32_places(scan: Scan) -> tuple[Offsets, Offsets]:
    """With the signs of equality behind them, of which six belong to one at most."""
    starts, ends = runs(scan.of("A-Z2-7"))
    some = (ends - starts >= 8) & ~before(scan.of("A-Z0-9"))[starts]
    starts, ends = starts[some], ends[some]
    is_pad, is_more = np.append(scan.of("="), False), np.append(scan.of("A-Za-z0-9"), False)
    for _ in range(6):
        ends = ends + is_pad[ends]
    return starts[~is_more[ends]], ends[~is_more[ends]]


def binary(scan: Scan) -> Offsets:
    starts, ends = runs(scan.of("01"))
    return starts[ends - starts >= 8]


def hexadecimal(scan: Scan) -> Offsets:
    """Four units: each two digits, perhaps with a mark before them, perhaps with a sign between."""
    digit = scan.of(_HEX)
    pair = digit & after(digit)
    marked = ((scan.of("0") & after(scan.of("x"))) | (scan.of(r"\\") & after(scan.of("x")))) & after(pair, 2)
    unit = pair | marked
    between = scan.of(r"\s:,\-")
    closed = after(unit, 2) | (after(between, 2) & after(unit, 3))
    more = (pair & closed) | (marked & (after(unit, 4) | (after(between, 4) & after(unit, 5))))
    return np.flatnonzero(more & ~before(scan.of("0-9a-zA-Z")))


def decimal(scan: Scan) -> Offsets:
    """Four numbers of two or three digits with one or two signs between them."""
    starts, ends = runs(scan.of(r"\d"))
    last = len(starts) - 3
    if last <= 0:
        return starts[:0]
    sign, sizes, gaps = np.append(scan.of(r"\s,;"), False), ends - starts, starts[1:] - ends[:-1]
    fits, near = (sizes == 2) | (sizes == 3), (gaps <= 2) & sign[ends[:-1]] & sign[starts[1:] - 1]
    good = fits[:last] & fits[1 : 1 + last] & fits[2 : 2 + last] & fits[3:] & near[:last] & near[1 : 1 + last] & near[2:]
    begins: Offsets = starts[:last][good]
    return begins


def morse(scan: Scan) -> Offsets:
    return in_a_row(*runs(scan.of(_SIGN)), count=4, longest=6, gap=4)
