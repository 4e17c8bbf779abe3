"""Naming what a request asks for, so that a refusal can be about it: 'How do I break into my ex's flat?' -> 'breaking into your ex's flat'.

Rules of English grammar, no model. Returns '' where they do not fit: the caller then finds other words.
"""

from __future__ import annotations

import re

MAX_WORDS = 16
_SUBJECT = r"(?:i|we|you|someone|somebody|anyone|one|a person|people)"
_MODAL = r"(?:do|can|could|should|would|might|may|must|shall|does)"
_FOR = r"for (?:me|us|you|him|her|them|someone|somebody|anyone|one|a person|people|my \w+)(?= to\b)"
_ASK = r"(?:please )?(?:can|could|would|will) you (?:please )?"
_VERB_AFTER = tuple(
    re.compile(pattern, re.I)
    for pattern in (
        rf"^(?:(?:so|ok|okay|please|hi) )?(?:how|where|when|which way)(?: else| exactly| best)? {_MODAL} {_SUBJECT}"
        r" (?:best |quickly |easily |secretly |safely )?(.+)$",
        r"^how to (.+)$",
        r"^(?:what(?:'s| is| are| would be)|which is) (?:the |a |an |some )?(?:\w+ ){0,3}?"
        rf"(?:ways?|methods?|tricks?|means|steps?|plan) (?:{_FOR} )?(?:to|for(?= \w+ing\b)) (.+)$",
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
    "we": "you", "us": "you", "our": "your", "ours": "yours", "ourselves": "yourselves", "am": "are",
}  # fmt: skip
_WAS = {"was": "were", "wasn't": "weren't"}
#: Before these 'mine' is somebody's own; elsewhere it is one of gold.
_BEFORE_MINE = frozenset("is isn't are aren't was wasn't were weren't be not of as than like for with".split())
#: One syllable with one vowel before one last consonant doubles it: 'rob', 'drug', 'quit'.
_SHORT = re.compile(r"(?:[^aeiouy]*|qu|squ)[aeiouy][^aeiouywx]")
#: Longer verbs that double their last letter (stress at the end, or British -l).
_DOUBLE = frozenset(
    "kidnap handicap wiretap babysit forget begin forbid control refer prefer transfer defer infer occur commit submit admit permit omit"
    " outwit expel compel rebel repel propel patrol unplug unzip reset offset cancel travel label model channel counsel signal tunnel fuel duel"
    " worship outrun overrun rerun repot replan outbid outgun overlap unpin unclip abet acquit entrap rebut regret screenshot relabel mislabel "
    " remodel level marshal shovel unravel enrol dial".split()
)
#: Verbs in -ly; every other word in -ly before the verb says how.
_LY_VERBS = frozenset(
    "ally apply bully comply dally fly imply misapply multiply overfly ply rally reapply rely reply resupply sully supply tally".split()
)
#: What else may stand before the verb: it stays before the gerund, or says nothing and goes.
_STAYS, _GOES = {"not", "never", "always", "bulk", "mass"}, {"also", "just", "then", "best", "really", "actually", "possibly", "easily"}
_DETERMINERS = {"a", "an", "the", "my", "his", "her", "its", "our", "their", "your", "some", "any", "all", "other", "more", "no", "two", "three"}
_JOINS = {"and", "or"}
_STATE = {"be", "have", "been", "know", "is", "are"}
#: 'I want to wreck his garden, help me.'
_PLEA = re.compile(r", (?:please )?(?:help|guide|show|tell|teach|write|walk|give|explain)\b.*$", re.I)
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
    words = _PLEA.sub("", clause).split()
    if len(words) > MAX_WORDS:
        shorter = _CUT.split(clause)[0].split()
        words = shorter if 2 <= len(shorter) <= MAX_WORDS else []
    how, words = _how(words)
    if len(words) < 2 or not _is_verb(words[0]):
        return ""
    verbs, rest = [gerund(words[0].lower())], words[1:]
    if rest[0].lower() in _JOINS and len(rest) > 1 and _is_verb(rest[1]):
        verbs, rest = [*verbs, rest[0], gerund(rest[1].lower())], rest[2:]
    return " ".join([*how, *verbs, *_second_person(_before_second_verb(rest))]).rstrip(",;:")


def _how(words: list[str]) -> tuple[list[str], list[str]]:
    """The words before the verb that say how, and the rest: 'secretly record him' is done by recording, not by 'secretlying'."""
    how: list[str] = []
    while len(words) > 1 and (_says_how(words) or (how and words[0].lower() == "and" and _says_how(words[1:]))):
        how += [words[0].lower()] if words[0].lower() not in _GOES else []
        words = words[1:]
    return how, words


def _says_how(words: list[str]) -> bool:
    """Whether the first word is no verb; 'bulk up' is one."""
    return (words[0].lower() in _STAYS | _GOES and words[1:2] != ["up"]) or _is_adverb(words[0].lower())


def _is_adverb(word: str) -> bool:
    return len(word) > 4 and word.isalpha() and word.endswith("ly") and word not in _LY_VERBS


def _is_verb(word: str) -> bool:
    return word.isalpha() and word.lower() not in _STATE | _DETERMINERS | _JOINS | _PEOPLE.keys()


def _second_person(words: list[str]) -> list[str]:
    """'my' -> 'your', and the verb beside 'I' with it. 'The US' is no 'us', a gold mine nobody's 'yours', and 3 am no verb."""
    said: list[str] = []
    for index, word in enumerate(words):
        before = words[index - 1].lower() if index else ""
        bare = word.rstrip(",;:)\"'")
        own = _PEOPLE.get(bare.lower(), bare)
        if bare == "US" or (bare.lower() == "mine" and before not in _BEFORE_MINE) or (bare.lower() == "am" and before[-1:].isdigit()):
            own = bare
        elif before == "i":
            own = _WAS.get(bare.lower(), own)
        said.append(own + word[len(bare) :])
    return said


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
