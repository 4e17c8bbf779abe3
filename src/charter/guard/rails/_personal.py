"""Personal data by form and checksum: what the ``pii`` rail finds with no further package.

Checksums: Luhn (ISO/IEC 7812-1) for cards, mod 97 (ISO 13616) for IBANs; forms only for wallets. Numbers that no rule confirms need a telling word
near them.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable
from typing import NamedTuple


class Hit(NamedTuple):
    """A piece of personal data: where, what kind, and how sure (0..1)."""

    start: int
    end: int
    kind: str
    score: float


_EMAIL = re.compile(r"(?<![\w.+-])[\w.+%'-]{1,64}@(?:[\w-]{1,63}\.){1,8}[^\W\d_]{2,24}(?![\w-])")
_CARD = re.compile(r"(?<![\d.-])(?:\d[ -]?){12,18}\d(?![\d-]|\.\d)")
_IBAN = re.compile(r"\b[A-Z]{2}\d{2}(?: ?[A-Z0-9]{2,4}){3,8}(?![A-Za-z0-9])")
_SSN = re.compile(r"(?<![\d-])(?!000|666|9\d\d)(\d{3})([- ]?)(?!00)\d{2}\2(?!0000)\d{4}(?![\d-])")
_PHONE = re.compile(
    r"(?<![\w.+-])(?:\+\d{1,3}[ .\-]?(?:\(0?\d{1,4}\)[ .\-]?)?\d{1,4}(?:[ .\-]?\d{2,4}){1,4}|00\d{1,3}[ .\-]\d{1,4}(?:[ .\-]?\d{2,4}){2,4}"
    r"|\(\d{2,5}\)[ .\-]?\d{3,4}[ .\-]?\d{3,4}|(?:1[ .\-])?[2-9]\d{2}[ .\-]\d{3}[ .\-]\d{4}|0\d{2,4}[ .\-]\d{3,4}[ .\-]?\d{3,4})"
    r"(?:\s?x\s?\d{1,5})?(?![\w-]|\.\d)"
)
_BARE_PHONE = re.compile(r"(?<![\w.+-])\d{7,12}(?![\w-]|\.\d)")
_IP4 = re.compile(r"(?<![\w.])(?:\d{1,3}\.){3}\d{1,3}(?![\w]|\.\d)")
_IP6 = re.compile(r"(?<![\w:.])(?:[0-9A-Fa-f]{0,4}:){2,7}[0-9A-Fa-f]{0,4}(?:%\w{1,16})?(?![\w:])")
_MAC = re.compile(r"(?<![\w:-])(?:[0-9A-Fa-f]{2}[:-]){5}[0-9A-Fa-f]{2}(?![\w:-])")
_WALLET = re.compile(r"\b(?:bc1[ac-hj-np-z02-9]{25,62}|[13][1-9A-HJ-NP-Za-km-z]{25,34}|0x[0-9a-fA-F]{40})\b")
_PASSPORT = re.compile(r"\b[A-Z]{1,2}\d{6,8}\b|\b\d{9}\b")
_NINO = re.compile(r"\b(?!BG|GB|KN|NK|NT|TN|ZZ)[A-CEGHJ-PR-TW-Z][A-CEGHJ-NPR-TW-Z] ?\d{2} ?\d{2} ?\d{2} ?[A-D]\b")
_BORN = re.compile(r"\b(?:\d{1,2}[./-]\d{1,2}[./-](?:19|20)\d\d|(?:19|20)\d\d-\d{2}-\d{2})\b")
#: Every hit has one of these, or a digit of another kind.
_SIGN = re.compile(r"[\d@:]")
#: What makes four numbers a version or a section.
_NUMBERED = re.compile(r"(?i)\b(?:version|ver\.?|v|release|section|chapter|rev\.?|§)[ :]{0,2}$")
#: Telling words, looked for in the ``NEAR`` characters before a number.
NEAR = 48
_WORDS = {
    "SSN": re.compile(r"(?i)\b(?:ssn|social security|soc\.? sec)"),
    "PHONE": re.compile(r"(?i)\b(?:phone|tel(?:ephone)?|call|mobile|cell|fax|whatsapp|contact|reach|text me|number is|dial)\b"),
    "PASSPORT": re.compile(r"(?i)\bpassport"),
    "BIRTH_DATE": re.compile(r"(?i)\b(?:born|birth|dob|d\.o\.b)"),
    "CARD": re.compile(r"(?i)\b(?:card|visa|mastercard|amex|maestro|discover|credit|debit)\b"),
}


def find(text: str) -> list[Hit]:
    """Every hit, in no order; hits of different kinds may overlap. Linear in the text."""
    if not _SIGN.search(text) and (text.isascii() or not any(map(str.isdigit, text))):
        return []
    hits = [Hit(*m.span(), "EMAIL", 0.95) for m in _EMAIL.finditer(text)]
    hits += [hit for m in _CARD.finditer(text) if (hit := _card(text, m))]
    hits += [Hit(*m.span(), "IBAN", 1.0) for m in _IBAN.finditer(text) if iban_valid(m[0])]
    hits += [Hit(*m.span(), "SSN", 0.9 if m[2] == "-" else 0.4) for m in _SSN.finditer(text)]
    hits += [Hit(*m.span(), "PHONE", 0.85) for m in _PHONE.finditer(text) if 7 <= sum(map(str.isdigit, m[0])) <= 15 and not _dated(m[0])]
    hits += [Hit(*m.span(), "PHONE", 0.3) for m in _BARE_PHONE.finditer(text)]
    hits += [Hit(*m.span(), "IP", score) for m in (*_IP4.finditer(text), *_IP6.finditer(text)) if (score := _ip(text, m))]
    hits += [Hit(*m.span(), "MAC", 0.85) for m in _MAC.finditer(text)]
    hits += [Hit(*m.span(), "WALLET", 0.9) for m in _WALLET.finditer(text) if any(map(str.isdigit, m[0])) and any(map(str.isalpha, m[0]))]
    hits += [Hit(*m.span(), "NATIONAL_ID", 0.85) for m in _NINO.finditer(text)]
    hits += [Hit(*m.span(), "PASSPORT", 0.3) for m in _PASSPORT.finditer(text)]
    hits += [Hit(*m.span(), "BIRTH_DATE", 0.3) for m in _BORN.finditer(text)]
    return [_in_context(text, hit) for hit in hits]


def _in_context(text: str, hit: Hit) -> Hit:
    """A doubtful number becomes a sure one after a telling word."""
    words = _WORDS.get(hit.kind)
    if words is None or hit.score >= 0.9 or not words.search(text, max(0, hit.start - NEAR), hit.start):
        return hit
    return hit._replace(score=min(0.95, hit.score + 0.55))


def _card(text: str, match: re.Match[str]) -> Hit | None:
    digits = re.sub(r"\D", "", match[0])
    if not luhn_valid(digits) or len(set(digits)) == 1:
        return None
    known = re.match(r"4|5[1-5]|2[2-7]|3[47]|3[068]|6(?:011|5|4[4-9]|2)|35|50|5[6-9]|6", digits)
    return Hit(*match.span(), "CARD", 1.0 if known else 0.5)


def luhn_valid(digits: str) -> bool:
    """ISO/IEC 7812-1, annex B."""
    doubled = [int(d) * 2 if n % 2 else int(d) for n, d in enumerate(reversed(digits))]
    return sum(d - 9 if d > 9 else d for d in doubled) % 10 == 0


def iban_valid(text: str) -> bool:
    """ISO 13616: mod 97 of the rearranged number is 1."""
    plain = text.replace(" ", "")
    if not 15 <= len(plain) <= 34:
        return False
    return int("".join(str(int(c, 36)) for c in plain[4:] + plain[:4])) % 97 == 1


def _ip(whole: str, match: re.Match[str]) -> float:
    """How much an address says about somebody: public ones a lot, private, reserved and documentation ones little; 0 for none."""
    text = match[0]
    if _NUMBERED.search(whole, max(0, match.start() - 12), match.start()):
        return 0.0
    try:
        address = ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return 0.0
    if isinstance(address, ipaddress.IPv6Address) and sum(map(str.isalnum, text)) < 4:
        return 0.0
    return 0.8 if address.is_global else 0.3


def _dated(text: str) -> bool:
    """Whether digits in groups are rather a date or a range of years."""
    return bool(
        re.fullmatch(r"\(?(?:19|20)\d\d\)?[ .\-]\d{1,2}[ .\-]\d{1,2}|\d{1,2}[ .\-]\d{1,2}[ .\-](?:19|20)\d\d|(?:19|20)\d\d[ .-](?:19|20)\d\d", text)
    )


Finder = Callable[[str], list[Hit]]
