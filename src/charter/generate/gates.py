"""What a revision must pass before it may become a training row. Every stop has a name, and names are counted."""

from __future__ import annotations

import re
from typing import NamedTuple

from charter.core.rows import Conversation, Reply, Verdict
from charter.core.shapes import Judge
from charter.data.dedupe import NearDuplicates, similarity
from charter.judges._quoting import defang

UNCHANGED_SIMILARITY = 0.9
NEAR_DUPLICATE_SIMILARITY = 0.75
_META = re.compile(
    r"(?i)^\W*(sure|certainly|of course|okay|ok)\b.{0,40}\b(revis|rewrit|version|response|reply)"
    r"|^\W*(here('s| is)|below is|this is) (a|an|the|my)\b.{0,30}(revis|rewrit|version|response|reply)"
    r"|^\W*(here('s| is)|below is|this is) (a|an|the|my)\b[^.:\n]{0,30}\banswer[ *_]*[:\n]"
    r"|\b(revised (response|reply|version|answer)|the critique|according to the principle|as a language model|as an ai)\b"
    r"|^\W*(revision|critique|response|reply|request|assistant|user)\s*:"
    r"|^\W*(\w+ ){1,2}(reply|response|answer|revision|version|rewrite)[ *_]*[:\n]"
    # said about the reply, at the start of a later sentence; "the answer is no" and "my answer is no" are none
    r"|[\n.!?:][\s\"')*_(]*((this|the|my) (\w+ )?(reply|response|version|revision|rewrite)|this (\w+ )?answer)"
    r" (is|was|now|no longer|does|doesn't|declines|refuses|avoids|addresses|removes|acknowledges|respects|follows)\b"
    r"|\n\W*(explanation|rationale|changes made|why this (\w+ )?(is|works)\b.{0,20})[ *_]*:",
)
#: What models think aloud in, where the server leaves it in the reply.
_REASONING = re.compile(
    r"<\s*/?\s*(?:seed:)?(?:think(?:ing)?|thoughts?|reason(?:ing)?|reflection|scratchpad|analysis|answer)\b[^<>\n]{0,40}>"
    r"|\[/?THINK\]|[◁<]/?think[▷>]|\bhere(?:'s| is) my thought process\b",
    re.IGNORECASE,
)
#: The fields that the prompts of ``feedback.yaml`` and chats are written in, behind the reply itself: the model went on and wrote the next turn.
_GOES_ON = re.compile(
    r"\n\W*(?i:request|reply|question|problem|task|critique|user|human|assistant|system)[\s*_]*:"
    r"|[.!?][\"')\]]*[ \t]+(?:Request|Reply|Problem|Task)\s*:"
)
_ENDS = re.compile(r"[.!?…][\"')\]]*\s*$")
#: Full stops that end no sentence: of a list's next number, of an abbreviation.
_ENDS_NOTHING = re.compile(
    r"(?:(?:^|\n)\W*|[:;]\s*)(?:\d{1,3}|[a-z])[.)]\W*$"
    r"|\b(?:e\.g|i\.e|vs|cf|approx|esp|incl|dr|mrs?|ms|prof|st)\.$",
    re.IGNORECASE,
)


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


def trace_in(text: str) -> str:
    """'reasoning' or 'control token' where ``text`` holds such a trace of how it was made, whoever wrote it; else ''. Learned, it would be said."""
    if _REASONING.search(text):
        return "reasoning"
    return "control token" if defang(text) != text else ""


def why_not(request: Conversation, before: str, reply: Reply, judges: Judges, seen: NearDuplicates, avoid: tuple[str, ...], max_words: int) -> str:
    """'' if the revision may stand, else the name of the gate that stopped it."""
    text = reply.text.strip()
    if reply.finish == "error" or not text:
        return "no revision"
    if reply.finish == "length" and (not _ENDS.search(text) or _ENDS_NOTHING.search(text)):
        return "truncated"
    if trace := trace_in(text):
        return trace
    if _GOES_ON.search(text):
        return "goes on with the prompt"
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
