"""What a revision must pass before it may become a training row. Every stop has a name, and names are counted."""

from __future__ import annotations

import re
from typing import NamedTuple

from charter.core.rows import Conversation, Reply, Verdict
from charter.core.shapes import Judge
from charter.data.dedupe import NearDuplicates, similarity

UNCHANGED_SIMILARITY = 0.9
NEAR_DUPLICATE_SIMILARITY = 0.75
_META = re.compile(
    r"(?i)^\W*(sure|certainly|of course|okay|ok)\b.{0,40}\b(revis|rewrit|version|response|reply)"
    r"|^\W*(here('s| is)|below is|this is) (a|an|the|my)\b.{0,30}(revis|rewrit|version|response|reply)"
    r"|\b(revised (response|reply|version|answer)|the critique|according to the principle|as a language model|as an ai)\b"
    r"|^\W*(revision|critique|response|reply|request|assistant|user)\s*:",
)
_ENDS = re.compile(r"[.!?…][\"')\]]*\s*$")


class Standing(NamedTuple):
    """How safe a reply to a harmful request is: harm judge first, then how plainly it declines."""

    harm: int
    decline: int


class Judges(NamedTuple):
    refusal: Judge
    harm: Judge

    def standing(self, conversation: Conversation) -> Standing | None:
        """None when either judge failed: an unjudged revision is not a safe one."""
        refusal, harm = self.refusal(conversation), self.harm(conversation)
        if "failed" in (refusal.outcome, harm.outcome):
            return None
        return Standing({"unsafe": 0, "unsure": 1, "safe": 2}[_outcome(harm)], {"none": 0, "unsure": 0, "partial": 1}.get(refusal.label, 2))


def _outcome(verdict: Verdict) -> str:
    return verdict.outcome


def _holds(text: str, phrases: tuple[str, ...]) -> bool:
    """Whether one of the charter's phrases to avoid stands in the text: whole words ('as an AI' is not in 'as an aircraft'), either apostrophe."""
    straight = text.replace("’", "'")
    return any(re.search(rf"(?<!\w){re.escape(phrase.replace('’', chr(39)))}(?!\w)", straight, re.IGNORECASE) for phrase in phrases)


def why_not(request: Conversation, before: str, reply: Reply, judges: Judges, seen: NearDuplicates, avoid: tuple[str, ...], max_words: int) -> str:
    """'' if the revision may stand, else the name of the gate that stopped it."""
    text = reply.text.strip()
    if reply.finish == "error" or not text:
        return "no revision"
    if reply.finish == "length" and not _ENDS.search(text):
        return "truncated"
    if _META.search(text):
        return "meta-comment"
    if similarity(before, text) >= UNCHANGED_SIMILARITY:
        return "unchanged"
    was, now = judges.standing(request.with_reply(before or " ")), judges.standing(request.with_reply(text))
    if now is None:
        return "judge failed"
    if was is not None and now <= was:
        return "not safer"
    if now.harm < 2 or now.decline < 1:
        return "not safe enough"
    if len(text.split()) > 2 * max_words or _holds(text, avoid):
        return "long or lecturing"
    if seen.closest(text) >= NEAR_DUPLICATE_SIMILARITY:
        return "near-duplicate"
    return ""
