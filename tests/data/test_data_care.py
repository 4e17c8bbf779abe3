"""What Charter never holds. The sentences here are about protecting people, and are dropped all the same: the rule is wide on purpose."""

from __future__ import annotations

import re

import pytest

from charter.data import care, care_languages
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
AGES = [
    "Sex education for under-16s.",
    "Sex education for under 18s.",
    "Sex education for U16s",
    "Sex education: my student is 14.",
    "Sex education: she just turned 13 and asks",
    "Sex education: I am fifteen",
    "Sex education: he is only 12",
    "Sex education: my sister has just turned 14",
    "Sex education: my pupil was 12 when it began",
    "Sex education: he’s 13",
    "Sex education for 14F",
    "Sex education for a 14/f",
    "Sex education for Anna (14)",
    "Sex education, 12 yrs",
    "Sex education for a sophomore",
    "Sex education for pupils",
    "Sex education for an elementary schooler",
]
#: "Sex education for children", and for minors.
ELSEWHERE = {
    "Arabic": ["التربية الجنسية للأطفال", "الصحة الجنسية للقاصرين"],
    "Chinese": ["儿童性教育", "青少年性教育"],
    "Dutch": ["Seksuele voorlichting voor kinderen", "Seksuele voorlichting voor minderjarigen", "Seksuele voorlichting voor een 12-jarige"],
    "French": ["L'éducation sexuelle pour les enfants", "L'éducation sexuelle pour les mineurs", "L'éducation sexuelle d'un élève de 12 ans"],
    "German": ["Sexualerziehung für Kinder", "Sexualkunde für Minderjährige", "Sexualkunde für ein Kind", "Sexualkunde für 12-Jährige"],
    "Hindi": ["बच्चों के लिए यौन शिक्षा", "नाबालिगों के लिए यौन शिक्षा"],
    "Indonesian": ["Pendidikan seks untuk anak-anak", "Pendidikan seksual untuk remaja"],
    "Italian": ["Educazione sessuale per bambini", "Educazione sessuale per i minorenni", "Educazione sessuale: ha 12 anni"],
    "Japanese": ["子どもの性教育", "12歳の性教育"],
    "Korean": ["청소년 성교육", "어린이 성교육"],
    "Polish": ["Edukacja seksualna dla dzieci", "Edukacja seksualna nieletnich"],
    "Portuguese": ["Educação sexual para crianças", "Educação sexual para menores de idade", "Educação sexual: tem 12 anos"],
    "Russian": ["Половое воспитание детей", "Сексуальное воспитание несовершеннолетних"],
    "Spanish": ["Educación sexual para menores de edad", "Educación sexual para niños", "Educación sexual: tiene 12 años"],
    "Turkish": ["Çocuklar için cinsel eğitim", "Reşit olmayanlar için cinsel eğitim"],
}
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
    # numbers that are no ages
    "The rape trial is in room 12 and lasts 10 days",
    "He was one of 16 men convicted of rape",
    "She got 12 yrs in prison for rape",
    "Sexual harassment: he is 6 feet tall and she is 10 cm smaller",
    "Student 12 asks about sexual health, and they have 2 copies of the book",
    "Section (12) of the act on sexual harassment",
    "Sexual health: the clinic is 15 minutes away and opens at 10",
    "The naked ride was 12.5 km long, and he is 10 km ahead",
    "Sexual health advice for a woman who is 34.",
    "The average of the sexual health survey is 10 of 40",
    "I am 15 years older than my wife, and we ask about sexual health",
    "Sextuplets: caring for six babies",
    # either alone, and words that sound alike, in other languages
    "Los niños de sexto grado juegan al fútbol",
    "La violación de los derechos de los niños",
    "El plan de educación sexual para personas adultas",
    "Educación física para niños y niñas de 12 años",
    "Be kinder to yourself when you talk about sexual health",
    "What kind of sexual health advice do adults get?",
    "Die Kinder spielen Fußball im Verein",
    "Sexualkunde für Erwachsene",
    "Die Nacktschnecken fressen den Salat im Kindergarten",
    "Les enfants jouent au handball, et la loi protège les mineurs",
    "Un bug mineur",
    "L'éducation sexuelle des adultes",
    "I bambini giocano a calcio e hanno 10 anni",
    "As crianças jogam futebol na escola",
    "Kinderen leren zwemmen",
    "Dzieci grają w piłkę",
    "Дети играют в футбол; права несовершеннолетних",
    "Сексуальное здоровье взрослых",
    "Çocuklar futbol oynuyor",
    "Cinsiyet eşitliği ve çocuk hakları",
    "جنسية الأطفال في القانون",
    "बच्चे फुटबॉल खेलते हैं",
    "중학생의 성적이 올랐고 고등학생은 축구를 한다",
    "孩子们踢足球，中学生学法律",
    "Anak-anak bermain bola",
    "裸足の少年がサッカーをする",
    "- a child at school - what the penis is",
    "- what the penis is\n- a child at school",
    "",
]


@pytest.mark.parametrize("text", [*DROPPED, *AGES, *(text for texts in ELSEWHERE.values() for text in texts)])
def test_sexual_words_and_words_for_minors_do_not_stand_together(text: str) -> None:
    assert must_drop(text)


@pytest.mark.parametrize("text", DISGUISED)
def test_a_disguise_changes_nothing(text: str) -> None:
    assert must_drop(text)


@pytest.mark.parametrize("pattern", [care._SEXUAL, care._BODILY, care._GENRE, care_languages.SEXUAL], ids=["sexual", "bodily", "genre", "elsewhere"])
def test_the_quick_look_lets_through_whatever_the_patterns_find(pattern: re.Pattern[str]) -> None:
    """Each text that a pattern can match, by its alternatives, holds one of the parts that are looked for first."""
    texts = [*DROPPED, *KEPT, *(text for texts in ELSEWHERE.values() for text in texts)]
    stems = set(re.findall(r"[^\W\d_]{2,}", pattern.pattern))
    words = {word for text in texts for word in [text, *re.findall(r"\w+", text)]} | stems | {stem + "o" for stem in stems}
    found = {match.group() for word in words for match in [pattern.search(word)] if match}
    assert [word for word in found if not any(part in word.lower() for part in (*care._PARTS, *care_languages.PARTS))] == []


@pytest.mark.parametrize("text", KEPT)
def test_either_alone_may_stay(text: str) -> None:
    assert not must_drop(text)


def test_the_module_names_every_language_that_is_tested() -> None:
    assert [language for language in ELSEWHERE if language not in (care_languages.__doc__ or "")] == []


def test_keep_counts_what_it_drops_and_keeps_the_order() -> None:
    pairs = [(text, i) for i, text in enumerate([KEPT[0], *DROPPED, KEPT[1]])]
    assert keep(pairs) == ([0, len(DROPPED) + 1], len(DROPPED))
    assert keep([]) == ([], 0)
