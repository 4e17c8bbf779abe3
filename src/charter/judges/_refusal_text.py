"""A reply as the refusal judge reads it: no thoughts, plain quotes, no invisible characters, in sentences, what others say in it blanked out."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Sequence
from typing import NamedTuple

#: Characters read at once: the beginning of a reply. A refusal that starts later than this is not one that a reader would notice first.
MAX_CHARS = 6000
#: What stretches of a longer reply share, so that no sentence is cut in all of them.
OVERLAP = 500
_QUOTES = str.maketrans({"‘": "'", "’": "'", "‛": "'", "´": "'", "ʼ": "'", "“": '"', "”": '"', "„": '"', "«": '"', "»": '"', "—": "-", "–": "-"})
_BREAK = re.compile(r"(?<=[.!?…])[\"')\]]*\s+|(?<=[。！？])|\n+")
_QUOTED = re.compile(r'"[^"\n]{12,400}"')
_LABEL = re.compile(r"^\s*(?:[\[(]?(?:assistant|ai|chatgpt|answer|response|bot|reply)[\])]?\s*:|[*#>\s]+)+", re.IGNORECASE)
#: A closed block of thinking before the reply, as reasoning models write it.
_THINKING = re.compile(
    r"\s*(?:<(?P<tag>think|thinking|thought|reasoning|scratchpad)>.*?</(?P=tag)>|\[THINK\].*?\[/THINK\])\s*", re.IGNORECASE | re.DOTALL
)
_PLAIN = re.compile(r"[\n -~]*")


class Sentence(NamedTuple):
    text: str
    start: int


def normalise(text: str) -> tuple[str, Sequence[int]]:
    """Lower case, plain quotes, no invisible characters or emphasis stars; with the offset of every character in ``text``."""
    text = text[:MAX_CHARS]
    if _PLAIN.fullmatch(text):
        return text.lower(), range(len(text))
    out: list[str] = []
    offsets: list[int] = []
    for index, char in enumerate(text.translate(_QUOTES)):
        if char.isascii() and char.isprintable():
            out.append(char.lower())
            offsets.append(index)
            continue
        if char != "\n" and unicodedata.category(char) in ("Cf", "Cc", "Cs", "Cn"):
            char = " " if char == "\t" else ""
        for piece in unicodedata.normalize("NFKC", char).lower():
            out.append(piece)
            offsets.append(index)
    return "".join(out), offsets


class Prepared(NamedTuple):
    """A normalised reply, the offset of each of its characters in the original, and its sentences: of the first ``MAX_CHARS``. ``whole`` is the
    reply as it came where it is longer, else ''."""

    text: str
    offsets: Sequence[int]
    sentences: tuple[Sentence, ...]
    whole: str = ""


def prepare(reply: str) -> Prepared:
    """Normalise a reply and split it into sentences, without its thinking and a label such as "Assistant:" before it. Offsets count in the reply
    as it came."""
    before = len(reply) - len(spoken(reply))
    reply = reply[before:]
    text, offsets = normalise(reply)
    if before:
        offsets = [before + offset for offset in offsets]
    label = _LABEL.match(text)
    start = label.end() if label and label.end() < len(text) else 0
    whole = reply if len(reply) > MAX_CHARS else ""
    return Prepared(text, offsets, tuple(split(_mask_quotes(text.replace("*", " ")), start)), whole)


def spoken(reply: str) -> str:
    """A reply without the block of thinking before it."""
    thinking = _THINKING.match(reply)
    return reply[thinking.end() :] if thinking else reply


def stretches(reply: str) -> Iterator[str]:
    """What follows the beginning of a long reply, in stretches of ``MAX_CHARS``; the last one ends with the reply."""
    last = len(reply) - MAX_CHARS
    for start in (*range(MAX_CHARS - OVERLAP, last, MAX_CHARS - OVERLAP), last):
        yield reply[start : start + MAX_CHARS]


def _mask_quotes(text: str) -> str:
    """Blank out quoted passages: a refusal spoken by a character is not the author's. A reply quoted as a whole is kept."""
    stripped = text.strip()
    if stripped.count('"') == 2 and stripped.startswith('"') and stripped.endswith('"'):
        return text.replace('"', " ")
    return _QUOTED.sub(lambda m: '"' + "x" * (len(m[0]) - 2) + '"', text)


def split(text: str, start: int) -> list[Sentence]:
    found, at = [], start
    for match in [*_BREAK.finditer(text, start), None]:
        end = match.start() if match else len(text)
        piece = text[at:end]
        if piece.strip(" -#>\"'.:()[]"):
            lead = len(piece) - len(piece.lstrip(" -#>\"'"))
            found.append(Sentence(re.sub(r"[ \t]", " ", piece[lead:]).rstrip(), at + lead))
        at = match.end() if match else end
    return found
