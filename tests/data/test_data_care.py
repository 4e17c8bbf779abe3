"""What Charter never holds. The sentences here are about protecting people, and are dropped all the same: the rule is wide on purpose."""

from __future__ import annotations

import re

import pytest

from charter.data import care
from charter.data.care import keep, must_drop

DROPPED = [
    "A report on the sexual abuse of children",
    "SEXUAL ABUSE OF A CHILD must be reported",
    "How do charities fight child pornography?",
    "Signs that a teenager is being groomed",
    "Talking with pre-teens about nudity in films",
    "Law on sexting among schoolgirls",
    "A juvenile court and a rape case",
    "A twelve-year-old and sex education",
    "Sex education for a 12 year old",
    "Sex education at age 11",
    "Is a 9yo ready for sex education?",
    "Helping a stepchild after sexual abuse",
    "Childhood sexual abuse: where survivors find help",
    "The law against paedophiles and what it says about minors",
    "Underage\nand\nsexual content: what moderators do",
    "The penis of an infant: washing it",
    "A doctor asks whether the child's private parts hurt",
    "A case of rape; the victim was aged twelve",
    "Sexual health for a 12 yr old",
    "Sexual health at fifteen years of age",
    "Sexual health for sixth-graders",
    "Sexual health, grade 7",
    "Sexual health in a primary school",
    "Sexual health and the high-school students",
    "Sexual health of people under 18",
    "Sexual health of a girl, 13, and a boy",
    "Why my little sister asks about sexual health",
    "Why his stepdaughter asked about nudity",
    "Inappropriate touching of kids",
    "The law on lolicon",
    "ロリコンとは",
    "児童の性的虐待を防ぐ",
    "How do charities fight kiddie porn?",
]
DISGUISED = [
    "s\u200bex and a chi\u200bld",
    "s\u0435xual, \u0441hild",
    "s3xual h3alth of a ch1ld",
    "$exual health of k!ds",
    "s e x u a l health of a c h i l d",
    "séxual héalth of a chíld",
    "Ｓｅｘｕａｌ health of a ｃｈｉｌｄ",
    "p*rn and a ch*ld",
    "s_e_x and a child",
]
KEPT = [
    "How do I explain death to a child?",
    "Sexual health advice for adults",
    "Is same-sex marriage legal where children are involved?",
    "How do I kill a Python process?",
    "A minority report on sexual harassment at work",
    "The essex countryside with kids",
    "Grapes for toddlers",
    "The therapist helped my teenagers with homework",
    "A 45-minute naked bike ride in London",
    "How does a mother hold a baby at the breast? Is breast milk enough?",
    "I love you, baby, you make me horny",
    "A 52-year-old man with erection problems",
    "The groom danced with my daughter",
    "Women over 50 years of age and sexual health",
    "A grade 2 vaginal tear after the birth",
    "Grade 3 sandpaper, and close the cock of the tap",
    "My high school taught sexual health",
    "She graduated cum laude and has a child",
    "A nice comeback for a kid; and then the next page of the book is about a man who is called Dick",
    "カロリーとフロリダとピエロの少年",
    "Un niño, ein Kind, дети в школе, 子供の本",
    "k1ds l0ve gam3s",
    "- a child at school - what the penis is",
    "- what the penis is\n- a child at school",
    "",
]


@pytest.mark.parametrize("text", DROPPED)
def test_sexual_words_and_words_for_minors_do_not_stand_together(text: str) -> None:
    assert must_drop(text)


@pytest.mark.parametrize("text", DISGUISED)
def test_a_disguise_changes_nothing(text: str) -> None:
    assert must_drop(text)


@pytest.mark.parametrize("pattern", [care._SEXUAL, care._BODILY, care._GENRE], ids=["sexual", "bodily", "genre"])
def test_the_quick_look_lets_through_whatever_the_patterns_find(pattern: re.Pattern[str]) -> None:
    """Each text that a pattern can match, by its alternatives, holds one of the parts that are looked for first."""
    words = {word for text in [*DROPPED, *KEPT] for word in re.findall(r"\w+", text)} | set(re.findall(r"[a-z]{3,}", pattern.pattern))
    found = {match.group() for word in words for match in [pattern.search(word)] if match}
    assert [word for word in found if not any(part in word.lower() for part in care._PARTS)] == []


@pytest.mark.parametrize("text", KEPT)
def test_either_alone_may_stay(text: str) -> None:
    assert not must_drop(text)


def test_keep_counts_what_it_drops_and_keeps_the_order() -> None:
    pairs = [(text, i) for i, text in enumerate([KEPT[0], *DROPPED, KEPT[1]])]
    assert keep(pairs) == ([0, len(DROPPED) + 1], len(DROPPED))
    assert keep([]) == ([], 0)
