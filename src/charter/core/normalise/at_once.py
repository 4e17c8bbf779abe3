"""Many encoded passages read at once, in arrays of bytes: as ``schemes.py`` reads them one by one, but quicker."""

from __future__ import annotations

import binascii
from collections.abc import Sequence
from functools import cache

import numpy as np
from numpy.typing import NDArray

from charter.core.normalise.mapped import Offsets
from charter.core.normalise.scan import before

Octets = NDArray[np.uint8]
#: Bytes of no meaning that must stand between two pieces: as many as a character of UTF-8 may go on.
APART = 3
_UNWANTED = np.array([n < 9 or 14 <= n < 32 for n in range(256)])


def texts(raw: Octets, starts: Offsets, sizes: Offsets) -> list[str | None]:
    """Pieces of ``raw`` as text, None for what is no UTF-8. At least ``APART`` zero bytes must stand behind each."""
    ends = starts + sizes
    places = list(zip(starts.tolist(), ends.tolist(), strict=True))
    octets = raw.tobytes()
    latin = octets.decode("latin-1")
    if octets.isascii():
        return [latin[start:end] for start, end in places]
    goes_on = (raw & 0xC0) == 0x80
    due = before(raw >= 0xC0) | before(raw >= 0xE0, 2) | before(raw >= 0xF0, 3)
    wrong, high = (np.append(0, np.cumsum(mask)) for mask in (goes_on != due, raw >= 0x80))
    broken = (wrong[ends + APART] > wrong[starts]).tolist()
    plain = (high[ends] == high[starts]).tolist()
    return [
        latin[start:end] if is_plain else None if is_broken else utf8(octets[start:end])
        for (start, end), is_broken, is_plain in zip(places, broken, plain, strict=True)
    ]


def utf8(raw: bytes) -> str | None:
    """One piece."""
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError:
        return None


def base64(passages: Sequence[str]) -> list[str | None]:
    """Of passages without blanks."""
    bodies = "\n".join(passages).encode().translate(bytes.maketrans(b"-_", b"+/"), b"=").split(b"\n")
    bodies = [b"" if b.isdigit() or b.islower() or b.isupper() or b.istitle() or len(b) % 4 == 1 else b for b in bodies]
    raw = np.frombuffer(binascii.a2b_base64(b"".join([b + b"AAAAAAA"[: 4 + -len(b) % 4] for b in bodies])), dtype=np.uint8).copy()
    return _pieces(raw, bodies, 4, 3)


def base32(passages: Sequence[str]) -> list[str | None]:
    bodies = "\n".join(passages).encode().translate(None, b"=").split(b"\n")
    bodies = [b"" if len(b) % 8 in (1, 3, 6) else b for b in bodies]
    fives = _fives()[np.frombuffer(b"".join([b + b"A" * (8 + -len(b) % 8) for b in bodies]), dtype=np.uint8)].reshape(-1, 8)
    forty = np.zeros(len(fives), dtype=np.uint64)
    for column in range(8):
        forty = (forty << np.uint64(5)) | fives[:, column]
    return _pieces(forty.astype(">u8").view(np.uint8).reshape(-1, 8)[:, 3:].ravel(), bodies, 8, 5)


@cache
def _fives() -> NDArray[np.uint64]:
    table = np.zeros(256, dtype=np.uint64)
    table[list(b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567")] = range(32)
    return table


def _pieces(raw: Octets, bodies: Sequence[bytes], chars: int, octets: int) -> list[str | None]:
    """Texts of bodies of which every ``chars`` characters are as many ``octets``, with as many again behind each; None for an empty body."""
    sizes = np.fromiter(map(len, bodies), dtype=np.int64, count=len(bodies))
    whole = (-(-sizes // chars) + 1) * octets
    starts, sizes = np.cumsum(whole) - whole, sizes * octets // chars
    raw[starts + sizes] = 0  # bits left over are no part of the text
    return [said if body else None for said, body in zip(texts(raw, starts, sizes), bodies, strict=True)]


def percent(tokens: Sequence[str]) -> list[str | None]:
    """Of tokens in ASCII."""
    sizes = np.fromiter(map(len, tokens), dtype=np.int64, count=len(tokens))
    raw = np.frombuffer(("\0" * APART).join([*tokens, ""]).encode(), dtype=np.uint8).copy()
    digits = _digits()[raw]
    escaped = np.flatnonzero((raw[:-2] == 0x25) & (digits[1:-1] < 16) & (digits[2:] < 16))
    raw[escaped] = digits[escaped + 1] * 16 + digits[escaped + 2]
    kept = np.ones(len(raw), dtype=np.bool_)
    kept[escaped + 1] = kept[escaped + 2] = False
    places = np.append(0, np.cumsum(kept))
    whole = sizes + APART
    starts = np.cumsum(whole) - whole
    raw = raw[kept]
    raw[raw == 0x2B] = 0x20
    first, last = places[starts], places[starts + sizes]
    unwanted = np.append(0, np.cumsum(_UNWANTED[raw]))
    spoilt = (unwanted[last] > unwanted[first]).tolist()
    return [None if bad else said for said, bad in zip(texts(raw, first, last - first), spoilt, strict=True)]


@cache
def _digits() -> Octets:
    """What hexadecimal digits are worth; 16 is none."""
    table = np.full(256, 16, dtype=np.uint8)
    for chars in (b"0123456789abcdef", b"0123456789ABCDEF"):
        table[list(chars)] = range(16)
    return table
