"""What Charter never holds. The sentences here are about protecting people, and are dropped all the same: the rule is wide on purpose."""

from __future__ import annotations

import pytest

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
    "",
]


@pytest.mark.parametrize("text", DROPPED)
def test_sexual_words_and_words_for_minors_do_not_stand_together(text: str) -> None:
    assert must_drop(text)


@pytest.mark.parametrize("text", KEPT)
def test_either_alone_may_stay(text: str) -> None:
    assert not must_drop(text)


def test_keep_counts_what_it_drops_and_keeps_the_order() -> None:
    pairs = [(text, i) for i, text in enumerate([KEPT[0], *DROPPED, KEPT[1]])]
    assert keep(pairs) == ([0, len(DROPPED) + 1], len(DROPPED))
    assert keep([]) == ([], 0)
