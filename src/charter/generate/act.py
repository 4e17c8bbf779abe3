"""Naming what a request asks for, so that a refusal can be about it: 'How do I break into my ex's flat?' -> 'breaking into your ex's flat'.

Rules of English grammar, no model. Returns '' where they do not fit: the caller then finds other words.
"""

from __future__ import annotations

import re

MAX_WORDS = 16
_SUBJECT = r"(?:i|we|you|someone|somebody|anyone|one|a person|people)"
_MODAL = r"(?:do|can|could|should|would|might|may|must|shall|does)"
_ASK = r"(?:please )?(?:can|could|would|will) you (?:please )?"
_VERB_AFTER = tuple(
    re.compile(pattern, re.I)
    for pattern in (
        rf"^(?:(?:so|ok|okay|please|hi) )?(?:how|where|when|which way)(?: else| exactly| best)? {_MODAL} {_SUBJECT}"
        r" (?:best |quickly |easily |secretly |safely )?(.+)$",
        r"^how to (.+)$",
        r"^(?:what(?:'s| is| are| would be)|which is) (?:the |a |an |some )?(?:\w+ ){0,3}?"
        r"(?:ways?|methods?|tricks?|means|steps?|plan) (?:to|for) (.+)$",
        rf"^{_ASK}(?:help me(?: to)?|tell me how (?:to|i can)|show me how to|teach me (?:how )?to|explain (?:to me )?how to) (.+)$",
        r"^(?:please )?(?:tell me|show me|teach me|explain|describe|give me steps on)(?: exactly| to me)?"
        r" (?:how to|how i can|how i could|to|ways to|the best way to) (.+)$",
        r"^(?:please )?help me(?: to)? (.+)$",
        r"^(?:i want|i need|i'd like|i would like|i'm trying|i am trying|i plan|i'm going)(?: you)? to (.+)$",
        rf"^{_ASK}(.+)$",
        r"^(?:please )?((?:write|draft|make|create|design|invent|compose|generate|build|plan|find|recommend|suggest|prepare|produce) .+)$",
    )
)
_PEOPLE = {
    "i": "you", "me": "you", "my": "your", "mine": "yours", "myself": "yourself", "i'm": "you're", "i've": "you've", "i'd": "you'd", "i'll": "you'll",
    "we": "you", "us": "you", "our": "your", "ours": "yours", "ourselves": "yourselves",
}  # fmt: skip
#: One syllable with one vowel before one last consonant doubles it: 'rob', 'drug', 'quit'.
_SHORT = re.compile(r"(?:[^aeiouy]*|qu|squ)[aeiouy][^aeiouywx]")
#: Longer verbs that double their last letter (stress at the end, or British -l).
_DOUBLE = frozenset(
    "kidnap handicap wiretap babysit forget begin forbid control refer prefer transfer defer infer occur commit submit admit permit omit"
    " outwit expel compel rebel repel propel patrol unplug unzip reset offset cancel travel label model channel counsel signal tunnel fuel duel"
    " worship".split()
)
_DETERMINERS = {"a", "an", "the", "my", "his", "her", "its", "our", "their", "your", "some", "any", "all", "other", "more", "no", "two", "three"}
_STATE = {"be", "have", "been", "know", "is", "are"}
_CUT = re.compile(r"(?:[.;!?]|, (?:and|so|but|then|please)\b| so (?:that )?| because | without | before | after | while | until )", re.I)


def name_act(request: str) -> str:
    """A gerund phrase of at most 16 words in the second person, or ''."""
    text = " ".join(request.strip().strip("\"'").split())
    text = re.split(r"(?<=[.!?]) (?=[A-Z])", text)[0].rstrip(".?! ")
    for pattern in _VERB_AFTER:
        found = pattern.match(text)
        if found:
            return _phrase(found.group(1))
    return ""


def _phrase(clause: str) -> str:
    words = clause.split()
    if len(words) > MAX_WORDS:
        shorter = _CUT.split(clause)[0].split()
        words = shorter if 2 <= len(shorter) <= MAX_WORDS else []
    if len(words) < 2 or not words[0].isalpha() or words[0].lower() in _STATE:
        return ""
    rest = [_second_person(word) for word in _before_second_verb(words[1:])]
    return " ".join([gerund(words[0].lower()), *rest]).rstrip(",;:")


def _second_person(word: str) -> str:
    bare = word.rstrip(",;:)\"'")
    return _PEOPLE.get(bare.lower(), bare) + word[len(bare) :]


def _before_second_verb(words: list[str]) -> list[str]:
    """Cut 'start a gang and hire people' before the second verb, which would need its own -ing; 'my sister and her friend' stays."""
    for index, word in enumerate(words[1:-1], 1):
        if word.lower() == "and" and words[index + 1].lower() not in _DETERMINERS:
            return words[:index]
    return words


def gerund(verb: str) -> str:
    """The -ing form: 'make' -> 'making', 'rob' -> 'robbing', 'lie' -> 'lying', 'hiding' stays."""
    if verb.endswith("ing") and len(verb) > 5:
        return verb
    if verb.endswith("ie"):
        return verb[:-2] + "ying"
    if verb.endswith("e") and not verb.endswith(("ee", "oe", "ye")):
        return verb[:-1] + "ing"
    if verb.endswith("ic"):
        return verb + "king"
    if verb in _DOUBLE or _SHORT.fullmatch(verb):
        return verb + verb[-1] + "ing"
    return verb + "ing"
