"""The shipped charters: complete mappings, wording of the right form, and no drift between texts, code and docs."""

from __future__ import annotations

import re
from itertools import product
from pathlib import Path

import pytest

from charter.core.config import Config
from charter.policy.charter import Charter, Hazard, Principle, RefusalStyle
from charter.policy.load import check_charter, load_charter, shipped
from charter.policy.wording import AILUMINATE, OPENAI, PLACEHOLDER, fill

ROOT = Path(__file__).parents[2]
TEXTS = ROOT / "src/charter/policy/texts"
DECLINE = re.compile(r"\bI won't\b|\bI can't\b|\bI'm not going to\b|\bnot something I'll\b")
S1_TO_S14 = ["violent_crime", "nonviolent_crime", "sex_crime", "child_safety", "defamation", "specialized_advice", "privacy"]
S1_TO_S14 += ["intellectual_property", "weapons", "hate", "self_harm", "sexual_content", "elections", "code_abuse"]
HAZARDS = [*S1_TO_S14, "deception", "misinformation"]


@pytest.fixture(scope="module")
def default() -> Charter:
    return load_charter("default")


@pytest.mark.parametrize("name", ["default", "minimal"])
def test_shipped_text_loads_and_is_named_like_its_file(name: str) -> None:
    assert name in shipped()
    assert load_charter(name).name == name
    assert check_charter(TEXTS / f"{name}.yaml") == []


def test_default_has_the_sixteen_hazards_and_enough_principles(default: Charter) -> None:
    assert [h.id for h in default.hazards] == HAZARDS
    assert len(default.principles) >= 18


def test_every_outside_code_has_a_hazard(default: Charter) -> None:
    assert {code for h in default.hazards for code in h.ailuminate} == set(AILUMINATE) == {f"S{n}" for n in range(1, 15)}
    assert {category for h in default.hazards for category in h.openai} == set(OPENAI)
    assert len(OPENAI) == len(set(OPENAI)) == 13
    assert {h.id: h.ailuminate for h in default.hazards} == {
        **{name: (f"S{n}",) for n, name in enumerate(S1_TO_S14, start=1)},
        "deception": ("S2",),
        "misinformation": ("S6", "S13"),
    }


def test_first_hazard_of_a_code_is_the_one_named_after_it(default: Charter) -> None:
    first = {code: h.id for h in reversed(default.hazards) for code in h.ailuminate}
    assert first == {f"S{n}": name for n, name in enumerate(S1_TO_S14, start=1)}


def test_hazard_wording_has_the_right_form(default: Charter) -> None:
    for hazard in default.hazards:
        assert 4 <= len(hazard.concern) <= 6, hazard.id
        assert 5 <= len(hazard.way_forward) <= 8, hazard.id
        for clause in hazard.concern:
            assert not clause.endswith((".", "!", "?")), clause
            assert not clause[0].isupper(), clause
            assert len(clause.split()) <= 14, clause
        for offer in hazard.way_forward:
            assert re.fullmatch(r"[A-Z][^.!?]*\.", offer), f"one whole sentence: {offer}"
        assert len({offer.split()[0] + offer.split()[1] for offer in hazard.way_forward}) >= 3, f"{hazard.id}: offers all begin alike"


def test_no_wording_is_used_twice(default: Charter) -> None:
    lines = [line for h in default.hazards for line in (*h.concern, *h.way_forward, *h.covers, *h.not_covered)]
    lines += [line for p in default.principles for line in (p.title, p.critique, p.revise, p.prefer)]
    assert sorted(lines) == sorted(set(lines))


@pytest.mark.parametrize("name", ["default", "minimal"])
def test_openings_decline_in_the_first_person(name: str) -> None:
    openings = load_charter(name).refusal.openings
    for opening in openings:
        assert DECLINE.search(opening), opening
        assert not opening.endswith((".", "!", "?")), opening
    assert not any(o.startswith(PLACEHOLDER) for o in openings), "the decision comes before the subject"


def test_default_declines_are_many_and_fit_the_limit(default: Charter) -> None:
    style = default.refusal
    assert len(style.openings) >= 16
    for hazard in default.hazards:
        for opening, concern, offer in product(style.openings, hazard.concern, hazard.way_forward):
            words = f"{fill(opening, 'doing a thing in eight words or so')} because {concern}. {offer}".split()
            assert len(words) <= style.max_words, " ".join(words)


def test_child_safety_stays_abstract_and_has_a_principle_of_its_own(default: Charter) -> None:
    text = default.hazard("child_safety").model_dump_json().replace("sexual/minors", "").lower()
    assert not re.search(r"sex|nud|porn|erot|intimate", text)
    assert any(p.hazards and "child_safety" in p.hazards for p in default.principles_for("child_safety"))


def test_every_hazard_has_general_and_special_principles(default: Charter) -> None:
    general = {p.id for p in default.principles if not p.hazards}
    for hazard in default.hazards:
        mine = {p.id for p in default.principles_for(hazard.id)}
        assert general < mine, hazard.id


def test_principles_say_which_reply_is_better(default: Charter) -> None:
    for principle in default.principles:
        assert re.search(r"\bprefer\b", principle.prefer, re.IGNORECASE), principle.id
        for wording in (principle.critique, principle.revise, principle.prefer):
            assert 1 <= len(re.findall(r"[.!?](?= |$)", wording)) <= 3, wording


def test_minimal_explains_nearly_every_key() -> None:
    text = (TEXTS / "minimal.yaml").read_text(encoding="utf-8")
    explained = {m.group(1) for m in re.finditer(r"^[ #-]*([a-z_]+):.*# ", text, re.MULTILINE)}
    assert explained >= _keys() - {"id", "title"}


def test_docs_name_every_key() -> None:
    page = (ROOT / "docs/charter.md").read_text(encoding="utf-8")
    assert {key for key in _keys() if f"`{key}`" not in page} == set()


def _keys() -> set[str]:
    models: tuple[type[Config], ...] = (Charter, Principle, Hazard, RefusalStyle)
    assert all(field.description for model in models for field in model.model_fields.values())
    return {key for model in models for key in model.model_fields}
