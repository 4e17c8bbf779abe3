"""What the shipped classifier answers: its heads, and how they map to MLCommons hazards and to OpenAI's moderation categories."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

#: Heads on one text, on a reply given its request (``achieved``: it does what was asked), and on a text given the operator's instructions.
TEXT_HEADS: Final = ("harmful_request", "jailbreak", "injection", "toxicity")
REPLY_HEADS: Final = ("harmful_reply", "refusal", "achieved")
OPERATOR_HEADS: Final = ("against_operator",)
#: Kinds of content, each yes or no, wherever it stands.
CONTENT_HEADS: Final = ("sexual", "hate", "harassment", "violence", "self_harm")
#: MLCommons AILuminate 1.0 hazards by code, one of them for each text (its likeliest subject).
HAZARDS: Final = {
    "S1": "violent_crime", "S2": "nonviolent_crime", "S3": "sex_crime", "S4": "child_safety", "S5": "defamation", "S6": "specialized_advice",
    "S7": "privacy", "S8": "intellectual_property", "S9": "weapons", "S10": "hate", "S11": "self_harm", "S12": "sexual_content", "S13": "elections",
    "S14": "code_abuse",
}  # fmt: skip
#: Order of the network's outputs; the hazards come last and share one softmax.
YES_NO: Final = (*TEXT_HEADS, *REPLY_HEADS, *CONTENT_HEADS, *OPERATOR_HEADS)
OUTPUTS: Final = (*YES_NO, *HAZARDS)
#: The 13 categories of OpenAI's moderation endpoint.
OPENAI_CATEGORIES: Final = (
    "harassment", "harassment/threatening", "hate", "hate/threatening", "illicit", "illicit/violent", "self-harm", "self-harm/intent",
    "self-harm/instructions", "sexual", "sexual/minors", "violence", "violence/graphic",
)  # fmt: skip
_ILLICIT: Final = ("S2", "S7", "S8", "S13", "S14")
_VIOLENT: Final = ("S1", "S3", "S9")


def openai_categories(scores: Mapping[str, float]) -> dict[str, float]:
    """OpenAI's 13 category scores (0..1) from the classifier's ``scores`` by head and hazard code.

    Content categories are the content heads. A narrower category is its head times what narrows it; ``illicit`` is a harmful request times the
    share of the hazards that are crimes. ``sexual/minors`` is hazard S4 times sexual content: the classifier was shown no such text, so this
    score is a hint for people and no filter.
    """
    get = scores.get
    request, violence = get("harmful_request", 0.0), get("violence", 0.0)
    crime, violent = sum(get(s, 0.0) for s in _ILLICIT), sum(get(s, 0.0) for s in _VIOLENT)
    return {
        "harassment": get("harassment", 0.0),
        "harassment/threatening": get("harassment", 0.0) * violence,
        "hate": get("hate", 0.0),
        "hate/threatening": get("hate", 0.0) * violence,
        "illicit": request * min(1.0, crime + violent),
        "illicit/violent": request * min(1.0, violent),
        "self-harm": get("self_harm", 0.0),
        "self-harm/intent": get("self_harm", 0.0) * get("S11", 0.0),
        "self-harm/instructions": get("self_harm", 0.0) * request,
        "sexual": get("sexual", 0.0),
        "sexual/minors": get("sexual", 0.0) * get("S4", 0.0),
        "violence": violence,
        "violence/graphic": violence * get("toxicity", 0.0),
    }
