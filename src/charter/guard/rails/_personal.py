"""Personal data by form and checksum: what the ``pii`` rail finds with no further package.

Checksums: Luhn (ISO/IEC 7812-1) for cards, mod 97 (ISO 13616) for IBANs; forms only for wallets. Numbers that no rule confirms need a telling word
near them.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Iterator
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
#: Kinds that ``find`` gives.
KINDS = ("EMAIL", "CARD", "IBAN", "SSN", "PHONE", "IP", "MAC", "WALLET", "NATIONAL_ID", "PASSPORT", "BIRTH_DATE")
_KNOWN_CARD = re.compile(r"4|5[1-5]|2[2-7]|3[47]|3[068]|6(?:011|5|4[4-9]|2)|35|50|5[6-9]|6")
#: A group of digits before a place, and one at it; a card of today's lengths in one piece.
_BEFORE, _GROUP = re.compile(r"(\d{1,20})[ -]$"), re.compile(r"(\d+)[ -]?")
_ONE_PIECE = re.compile(r"(?:\d{16}|3[47]\d{13})(?!\d)")
#: How cards are printed: digits of each group. One of 13 to 19 is one group.
_PRINTED = ((4, 4, 4, 4), (4, 4, 4, 4, 3), (4, 6, 5), (4, 6, 4))
#: Letters and digits of an IBAN by country (the registry of ISO 13616).
_IBAN_LENGTHS = {
    code: length
    for length, codes in {
        15: "NO", 16: "BE", 18: "DK FO FI FK GL NL SD", 19: "MK SI", 20: "AT BA EE KZ XK LT LU MN", 21: "HR LV LI CH",
        22: "BH BG CR GE DE IE ME RS GB VA", 23: "TL GI IQ IL OM SO AE", 24: "AD CZ MD PK RO SA SK ES SE TN VG", 25: "LY PT ST", 26: "IS TR",
        27: "BI DJ FR GR IT MR MC SM", 28: "AL AZ BY CY DO SV GT HN HU LB NI PL", 29: "BR EG PS QA UA", 30: "JO KW MU YE", 31: "MT SC", 32: "LC",
        33: "RU",
    }.items()
    for code in codes.split()
}  # fmt: skip
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
    hits += [*_cards(text), *_ibans(text)]
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


def _cards(text: str) -> Iterator[Hit]:
    """Cards, also between other numbers ("4111 1111 1111 1111 12/27"): where all groups of digits together are none, some of them may be one, if they
    are grouped as cards are printed."""
    at = card = 0
    while match := _CARD.search(text, at):
        first = match.start()
        other = _BEFORE.search(text, max(card, first - 21), first)  # digits of the card before are no other number
        before = len(other[1]) if other else 0
        head = _GROUP.match(text, first)
        if before and head is not None and len(head[1]) not in (3, 4) and len(head[1]) < 13:  # no card is printed so
            at = head.end()
            continue
        groups = [m.span() for m in re.finditer(r"\d+", match[0])]
        sizes = [b - a for a, b in groups]
        for last in (len(groups), *(n for n in (5, 4, 3, 1) if n < len(groups))):
            alone = before == 0 and last == len(groups)
            if not alone and not (last == 1 or tuple(sizes[:last]) in _PRINTED):
                continue
            end = first + groups[last - 1][1]
            score = _card(re.sub(r"\D", "", text[first:end]), alone)
            if score is not None:
                # four digits before or behind four others: rather a table of numbers; and what stands in one piece among other numbers may
                # be an article's or a device's. A telling word makes them sure.
                doubtful = 4 in (before, *sizes[last : last + 1]) or (not alone and last == 1 and not _ONE_PIECE.match(text, first))
                yield Hit(first, end, "CARD", min(score, 0.5) if doubtful else score)
                at = card = end
                break
        else:
            at = first + groups[1][0] if len(groups) > 1 else match.end()


def _card(digits: str, alone: bool) -> float | None:
    """How sure it is that these digits are a card; None if they are none. Not ``alone``: among others, where only known makers' numbers count."""
    if not 13 <= len(digits) <= 19 or not luhn_valid(digits) or len(set(digits)) == 1:
        return None
    known = _KNOWN_CARD.match(digits) is not None
    return 1.0 if known else 0.5 if alone else None


def _ibans(text: str) -> Iterator[Hit]:
    """IBANs, also before and behind other words in capitals ("DE89370400440532013000 EUR 50")."""
    at = 0
    while match := _IBAN.search(text, at):
        start, at = match.start(), match.start() + 1
        for end in {match.end(), _iban_end(match)}:
            if iban_valid(text[start:end]):
                yield Hit(start, end, "IBAN", 1.0)
                at = end
                break


def _iban_end(match: re.Match[str]) -> int:
    """Where an IBAN of this country ends, if that is at the end of a group; else the end of it all."""
    left, text = _IBAN_LENGTHS.get(match[0][:2], 0), match[0]
    for place, letter in enumerate(text):
        left -= letter != " "
        if left == 0:
            return match.start() + place + 1 if text[place + 1 : place + 2] in ("", " ") else match.end()
    return match.end()


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
