"""Invisible text: tag characters, zero-width and bidi controls, private-use and unassigned characters that hide words or orders. Can cut them out.

Joiners inside emoji and between letters of scripts that need them, variation selectors after pictures, the flags of regions, and a byte order mark at
the start are left alone: flagging every format character would flag half the world's writing (Unicode UTS 51; UAX 31, section 2.3).
"""

from __future__ import annotations

import re

from pydantic import Field

from charter.core.config import Config as BaseConfig
from charter.core.rows import Conversation, Verdict
from charter.guard._masking import DROP
from charter.guard.policy import Stage
from charter.guard.rails._said import say, say_found
from charter.guard.segments import view

NOT_COVERED = (
    "Text that is visible but unreadable to people (encodings, look-alike letters), white text on white in pictures or HTML, and tiny fonts."
)
COST = "instant"
MASKS = True
CALIBRATES = False
_PICTURE = (
    "\u00a9\u00ae\u203c\u2049\u2122\u2139\u2190-\u21ff\u2300-\u23ff\u24c2\u25a0-\u27bf\u2900-\u297f\u2b00-\u2bff\u3030\u303d\u3297\u3299"
    "\U0001f000-\U0001faff"
)
_JOINED = "\u0600-\u06ff\u0750-\u077f\u0870-\u08ff\u1800-\u18af\u0900-\u0dff\u0f00-\u109f\u1780-\u17ff\ua8e0-\ua8ff"
#: Characters without a look that have work to do where they stand.
_FINE = re.compile(
    f"(?<=[{_PICTURE}\ufe0f\U0001f3fb-\U0001f3ff])\u200d(?=[{_PICTURE}])|(?<=[{_PICTURE}#*0-9])[\ufe0e\ufe0f]|(?<=[{_JOINED}])[\u200c\u200d]"
    "|(?<=[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff])\u200b|(?<=[\u3400-\u9fff\uf900-\ufaff\U00020000-\U0003ffff])[\ufe00-\ufe0f\U000e0100-\U000e01ef]"
    "|(?<=\U0001f3f4)[\U000e0030-\U000e0039\U000e0061-\U000e007a]{3,6}\U000e007f|(?:^|(?<=\n))\ufeff|(?<=\\w)\u00ad(?=\\w)"
)
_HIDDEN = re.compile(
    "[\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e\u2060-\u206f\u3164\ufe00-\ufe0f\ufeff\uffa0\ufff9-\ufffb"
    "\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff\ue000-\uf8ff\U000f0000-\U0010ffff\ud800-\udfff\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]+"
)
#: Kinds that carry a message of their own: one character is enough to act.
_SMUGGLES = re.compile("[\U000e0001-\U000e007f\u2062-\u2064\u206a-\u206f\U000e0100-\U000e01ef\u202a-\u202e\u2066-\u2069]")


class Config(BaseConfig):
    """What counts."""

    least: int = Field(
        default=3, ge=1, description="zero-width and other empty characters from which the score is 1; tags and bidi controls count at once"
    )


class InvisibleTextRail:
    """Score 1 when something is hidden; less for a stray character or two. Spans cover every hidden character, so that masking cuts them out."""

    name = "invisible_text"
    version = "1"
    longest = 64

    def __init__(self, config: Config) -> None:
        self._least = config.least

    def __call__(self, conversation: Conversation, stage: Stage) -> Verdict:
        text = view(conversation, stage).text
        if text.isascii() and not _HIDDEN.search(text):
            return say(conversation, self.name, self.version, "safe", score=0.0)
        found = hidden(text)
        count = sum(end - start for start, end in found)
        score = 1.0 if any(_SMUGGLES.search(text[a:b]) for a, b in found) else min(1.0, count / self._least)
        reason = f"{count} characters without a look"
        return say_found(conversation, self.name, self.version, ((a, b, DROP) for a, b in found), score, reason)


def hidden(text: str) -> list[tuple[int, int]]:
    """Stretches of characters that are not seen and have no work to do."""
    fine = {at for match in _FINE.finditer(text) for at in range(*match.span())}
    out: list[tuple[int, int]] = []
    for match in _HIDDEN.finditer(text):
        for at in range(*match.span()):
            if at in fine:
                continue
            if out and out[-1][1] == at:
                out[-1] = (out[-1][0], at + 1)
            else:
                out.append((at, at + 1))
    return out


def build(config: Config) -> InvisibleTextRail:
    """The rail with its count."""
    return InvisibleTextRail(config)
