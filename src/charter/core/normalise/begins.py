"""Where the patterns of ``decode.py`` can begin in a long text. Each function finds every place where its pattern matches, and few others."""

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
    return _tokens(scan, np.flatnonzero(scan.of("&") & after(scan.of("#")) & after(scan.of(r"\dxX"), 2)))


def percent(scan: Scan) -> Offsets:
    digits = scan.of(_HEX)
    return _tokens(scan, np.flatnonzero(scan.of("%") & after(digits) & after(digits, 2)))


def _tokens(scan: Scan, places: Offsets) -> Offsets:
    """Where the tokens without blanks begin that hold ``places``."""
    if not len(places):
        return places
    blanks = np.flatnonzero(scan.of(r"\s"))
    return np.unique(np.append(-1, blanks)[np.searchsorted(blanks, places)] + 1)


def wrapped(scan: Scan) -> Offsets:
    starts, ends = runs(scan.of(_BASE64))
    return starts[ends - starts >= 40]


def base64(scan: Scan) -> Offsets:
    """Long enough, and not what ``decode.py`` refuses to read as base64: all digits, letters of one case only, an odd length."""
    found = Runs(scan.of(_BASE64))
    padded = np.append(scan.of("="), False)[found.ends]
    upper, lower, digits = (found.count(scan.of(chars)) for chars in ("A-Z", "a-z", "0-9"))
    refused = (digits == found.sizes) | ((upper == 0) != (lower == 0)) | (found.sizes % 4 == 1)
    begins: Offsets = found.starts[((found.sizes >= 8) | ((found.sizes >= 6) & padded)) & ~refused]
    return begins


def base32(scan: Scan) -> Offsets:
    starts, ends = runs(scan.of("A-Z2-7"))
    return starts[ends - starts >= 8]


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
    return in_a_row(*runs(scan.of(r"\d")), count=4, longest=3, gap=2)


def morse(scan: Scan) -> Offsets:
    return in_a_row(*runs(scan.of(_SIGN)), count=4, longest=6, gap=4)
