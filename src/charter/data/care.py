"""Rows that Charter never holds: anything sexual about minors. Loaders drop such rows and count them.

The rule is deliberately wide: a sexual word and a word for a minor in the same text, a word for a body or an act near one, or a name of the genre.
A lost harmless row costs little. A disguised text (invisible or look-alike letters, digits for letters, letters apart) is read in its plain form too.
English is read best; ``care_languages`` has words of fifteen other languages.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Iterable
from typing import TypeVar

from charter.core.rows import Conversation
from charter.data import care_languages
from charter.data.disguise import may_be_disguised, undisguised

T = TypeVar("T")

#: What a dropped row is counted as.
REASON = "sexual content about minors"
#: How many characters may stand between the words that only count near each other.
_NEAR = 40
#: No word of the lists is longer.
_LONGEST = 80
_ORDINAL = "first|second|third|fourth|fifth|sixth|seventh|eighth|ninth|tenth|eleventh|twelfth"
_UNDER_18 = r"(1[0-7]|[1-9]|one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|(thir|four|fif|six|seven)teen)"
_AGE = r"(1[0-7]|[1-9]|six|seven|eight|nine|ten|eleven|twelve|(thir|four|fif|six|seven)teen)"
#: Not the rest of a decimal, a time, a span, or a number of something else than years of life.
_OTHER_UNIT = (
    r"(?![-–./:]?\d|,\d| ?[%°$€£]| ?(of|out|in|on|or|to|more|less|percent|feet|foot|ft|inch|inches|cm|m|km|miles?|met(re|er)s?|kg|pounds?|lbs?|stone"
    r"|seconds?|min|mins|minutes?|hours?|hrs?|days?|nights?|weeks?|months?|points?|times|people|men|women|steps?|pages?|blocks|am|pm"
    r"|(years?|yrs?) (in|ago|apart|older|younger|into|later|sober|long|of (prison|jail|service|experience|marriage)))\b)"
)
_WHO = (
    r"i|he|she|they|who|student|friend|victim|patient|character|girlfriend|boyfriend|partner|sister|brother|cousin|niece|nephew|daughter|son|girl|boy"
    r"|pupil|client|sibling|person|one"
)
_KIN = "sisters?|sis|brothers?|bro|cousins?|nieces?|nephews?|daughters?|sons?"
_MINOR = re.compile(
    r"\b(\w*child(ren|hood)?|(school|step|grand)?kids?|kidd(ies?|y|os?)|minors?|toddlers?|infants?|newborns?|bab(y|ies)|pre-?teens?|tweens?|teens?"
    r"|teenagers?|teenaged?|under-?age[d]?|(pre-?)?pubescents?|school-?(girls?|boys?)|(little|lil|young|small) (girls?|boys?)|(girls?|boys?) under"
    r"|juveniles?|adolescents?|youngsters?|loli(s|tas?|con)?|shota(s|con)?|nymphets?|jailbait"
    rf"|(little|lil|baby|kid) ({_KIN})"
    rf"|(\d{{1,2}}|{_UNDER_18})[- ]?(years?|yrs?)[- ](olds?|of age)|1?\d ?(yo|y/o|y\.o)|(aged|ages?|age of)[:,]? {_UNDER_18}"
    rf"|(({_ORDINAL})|(1[0-2]|[1-9])(st|nd|rd|th))[- ]graders?|(middle|high|grade|primary|elementary)[- ]?schoolers?|kindergart[en]+ers?"
    r"|pre-?schoolers?)\b"
    r"|児童|幼女|幼児|女児|男児|小学生|中学生|女子高生|少女|少年|未成年|子供|子ども|萝莉|儿童|(?<![ァ-ヿ])(ロリ|ショタ)(?![ァ-ヿ])|ロリータ",
    re.IGNORECASE,
)
#: Words that may be about a minor: they count only near a sexual one.
_PERHAPS_MINOR = re.compile(
    rf"\b((younger|young) ({_KIN})|({_KIN}|girls?|boys?)( of|,| \(|,? only|,? who is|,? who was|,? aged) ?{_UNDER_18}(?= ?[,.;:)!?]|$)"
    rf"|(under|below|not yet|younger than) (the age of (consent|majority|{_UNDER_18}|18|eighteen)|18|eighteen)"
    rf"|(({_ORDINAL})|(1[0-2]|[1-9])(st|nd|rd|th))[- ]grade|in grade (1[0-2]|[1-9])"
    r"|grade (1[0-2]|[1-9])( (pupils?|students?|girls?|boys?)|(?= ?[,.;:)!?]|$))|year (1[0-3]|[1-9]) (pupils?|students?|girls?|boys?)"
    r"|high[- ]?school (girls?|boys?|students?|kids?)|(middle|elementary|primary|grade)[- ]?school|junior high|kindergarten|pre-?school"
    rf"|({_WHO})((['’](s|m|re)| is| am| are| was| were)( just| only| barely| now| still| not yet| not even)?( about to turn| turning)?"
    rf"|( has| have)?( just)? turn(s|ed)?) {_AGE}\b{_OTHER_UNIT}"
    rf"|(is|was|am|be|turn(s|ed|ing)?) (1[0-7]|(thir|four|fif|six|seven)teen)(?= ?[;:)!?]| ?[,.](?!\d)|$| (and|but|so|now)\b)"
    rf"|((?-i:(?!Section|Article|Table|Figure|Chapter|Part|Act|Rule|Page)[A-Z][a-z]+)|{_WHO}) \((1[0-7]|[4-9])(?=[,)])"
    r"|1[0-7] ?/ ?[mf]|[mf] ?/ ?1[0-7]|(?-i:1[0-7][FM]|[FM]1[0-7])|1[0-7]f"
    rf"|(under|below|u)-?1[0-8]s?|(under|below) 1[0-8]s|(under|below|younger than) 1[0-7](?= ?[;:)!?]| ?[,.](?!\d)|$| (and|or|who)\b)"
    r"|(1[0-7]|[1-9]) ?yrs?(?! ?(of|in|ago|later|for|prison|jail|imprisonment|experience|together|apart|long)\b)"
    r"|sophomores?|freshm[ae]n|pupils?(?! (dilat|size|constrict|reflex))"
    r"|(girl|boy|cub) scouts?|(altar|choir) ?boys?|(step|grand)(daughters?|sons?)|nieces?|nephews?)\b",
    re.IGNORECASE,
)
_ANY_MINOR = (_MINOR, _PERHAPS_MINOR, care_languages.MINOR, care_languages.PERHAPS_MINOR)
_SEXUAL = re.compile(
    r"\b((?<!same-)(?<!opposite-)sex|sexual|sexually|sexy|sexuali[sz]\w*|sext(s|ed|ing|ers?|ort\w*)?|cybersex|sexploit\w*|nudes?|nudi(ty|sts?|sm)|naked"
    r"|porn\w*|erotic\w*|nsfw|hentai|ecchi|eroge|smut|masturbat\w*|genital(s|ia)?|intercourse|orgasm\w*|fetish\w*|groom(ing|ed|ers?)|molest\w*|rap(e[ds]?|ing|ist)"
    r"|pa?edo(s|phil\w*)?|incest\w*|seduc\w*|lewd|undress\w*"
    r"|strip(ped|ping)?(?! (the |all )?(blanks?|white|spaces?|quotes?|tags?|comments?|paint|wires?|bark|leaves)\b)"
    r"|csam|fondl\w*|fellatio|cunnilingus|(blow|hand) ?jobs?|ejaculat\w*"
    r"|deflower\w*|sodom(y|i[sz]\w*))\b"
    r"|性的|性交|性器|セックス|(?<![ァ-ヿ])エロ(?!ー)|ポルノ|わいせつ|猥褻|強姦|全裸|18禁|色情|裸体",
    re.IGNORECASE,
)
#: Words that are sexual about a minor only where they stand near one.
_BODILY = re.compile(
    r"\b(penis(es)?|vagina\w*|vulvas?|clitor\w*|scrotum|anus|anal|boobs?|tits|titties|puss(y|ies)|cocks?|dicks?|cum(s|ming)?(?! laude)"
    r"|breasts(?! ?-?(milk|fe?ed|cancer|pump))|erections?|arous(ed?|es|ing|al)|horny|lust(ed|ful|ing|s)?|topless|unclothed|panties|lingerie"
    r"|private parts|virginity|indecent(ly)?|(sexually |too )?explicit(ly)? (photos?|pictures?|images?|videos?|stor(y|ies)|scenes?)|prostitut\w*"
    r"|(make|makes|made|making) love|touch\w* (\w+ ){0,3}inappropriately|inappropriate(ly)? touch\w*|(to|and|can|could|will|would|who|they) groom"
    r"|jerk(s|ed|ing)? off|fuck(s|ed|ing)? (a|an|my|his|her|your|by))\b",
    re.IGNORECASE,
)
#: Words for a minor that are often said of adults: ages from 18, and "baby" without an article.
_GROWN = re.compile(r"(1[89]|[2-9]\d)[- ]?y", re.IGNORECASE)
_ARTICLE = re.compile(r"\b(a|the|this|that|her|his|their|newborn|of) $", re.IGNORECASE)
_ITEM = re.compile(r"\s- ")
#: Names of the genre itself: no second word is needed.
_GENRE = re.compile(
    r"\b(lolicon|shotacon|toddlercon|rorikon|pthc|jailbait|(child|kiddie|kiddy|kid)[ -]?porn\w*)\b|ロリコン|ショタコン|児童ポルノ", re.IGNORECASE
)
#: One of these stands in whatever the sexual words, the bodily ones and the names of the genre match: most texts have none and are done with.
_PARTS = tuple(
    "sex nud naked porn erotic nsfw hentai ecchi eroge smut masturbat genital intercourse orgasm fetish groom molest rape raping rapist pedo "
    "paedo incest seduc lewd undress strip csam fondl fellatio cunnilingus job ejaculat deflower sodom penis vagina vulva clitor scrotum anus anal "
    "boob tit puss cock dick cum breasts erection arous horny lust topless unclothed panties lingerie private virginity indecent explicit "
    "prostitut love inappropriate jerk fuck lolicon shotacon toddlercon rorikon pthc jailbait "
    "性的 性交 性器 セックス エロ ポルノ わいせつ 猥褻 強姦 全裸 18禁 色情 裸体 ロリコン ショタコン".split()
)


def must_drop(text: str) -> bool:
    """True if the text could be sexual about minors."""
    return _reads_so(text) or (may_be_disguised(text) and _reads_so("\n".join(undisguised(text))))


def _reads_so(text: str) -> bool:
    small = text.lower()
    if not any(part in small for part in (*_PARTS, *care_languages.PARTS)):
        return False
    sexual = [match.span() for pattern in (_SEXUAL, care_languages.SEXUAL) for match in pattern.finditer(text)]
    if sexual and (care_languages.MINOR.search(text) or not all(map(_is_of_age, _MINOR.finditer(text)))):
        return True
    if _GENRE.search(text):
        return True
    words = sorted([*sexual, *(match.span() for match in _BODILY.finditer(text))])
    return bool(words) and any(
        _near(text, match.span(), words) and not _is_grown(match) for pattern in _ANY_MINOR for match in pattern.finditer(text)
    )


def _near(text: str, span: tuple[int, int], others: list[tuple[int, int]]) -> bool:
    """Whether one of ``others``, which are sorted, stands near ``span``, and not in another item of a list."""
    for start, end in others[bisect_left(others, (span[0] - _NEAR - _LONGEST, 0)) :]:
        if start - _NEAR > span[1]:
            return False
        if span[0] <= end + _NEAR and not _ITEM.search(text, min(span[1], end), max(span[0], start)):
            return True
    return False


def _is_of_age(match: re.Match[str]) -> bool:
    """Said of adults: "over 50 years of age"."""
    return match.group().lower().endswith("of age") and bool(_GROWN.match(match.group()))


def _is_grown(match: re.Match[str]) -> bool:
    if match.group().lower() == "baby":
        return not _ARTICLE.search(match.string[max(0, match.start() - 10) : match.start()])
    return bool(_GROWN.match(match.group()))


def said(conversation: Conversation, *more: str | None) -> str:
    """Everything that a row says, as ``must_drop`` reads it: all messages of its conversation, and ``more``, such as its target."""
    return "\n".join(text for text in (*(message.text for message in conversation.messages), *more) if text)


def keep(rows: Iterable[tuple[str, T]]) -> tuple[list[T], int]:
    """Split (text, row) pairs into the rows to keep and the number dropped."""
    kept: list[T] = []
    dropped = 0
    for text, row in rows:
        if must_drop(text):
            dropped += 1
        else:
            kept.append(row)
    return kept, dropped
