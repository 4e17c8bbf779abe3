"""Hash, look-ups and filling in of the charter object."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from charter.core.errors import InputError
from charter.policy.charter import Charter, cross_problems
from charter.policy.load import load_charter
from charter.policy.wording import fill

MINIMAL = load_charter("minimal")
DATA: dict[str, Any] = MINIMAL.model_dump(mode="json")


def shuffled(value: Any, rng: random.Random) -> Any:
    if isinstance(value, dict):
        keys = list(value)
        rng.shuffle(keys)
        return {key: shuffled(value[key], rng) for key in keys}
    return [shuffled(item, rng) for item in value] if isinstance(value, list) else value


def wordings(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    if isinstance(value, dict):
        return [found for key, item in value.items() for found in wordings(item, (*path, key))]
    if isinstance(value, list):
        return [found for index, item in enumerate(value) for found in wordings(item, (*path, index))]
    free = isinstance(value, str) and not {"id", "severity", "language", "ailuminate", "openai"} & set(path)
    return [path] if free else []


def changed(value: Any, path: tuple[Any, ...]) -> Any:
    if not path:
        return value + " indeed"
    copy = dict(value) if isinstance(value, dict) else list(value)
    copy[path[0]] = changed(copy[path[0]], path[1:])
    return copy


@given(st.integers(0, 2**32))
def test_hash_is_stable_under_key_order(seed: int) -> None:
    assert Charter.model_validate(shuffled(DATA, random.Random(seed))).hash == MINIMAL.hash


@pytest.mark.parametrize("width", [20, 60, 1000])
def test_hash_is_stable_under_layout(width: int, tmp_path: Path) -> None:
    path = tmp_path / "copy.yaml"
    path.write_text(yaml.safe_dump(MINIMAL.model_dump(mode="json", exclude_defaults=True), width=width, sort_keys=True), encoding="utf-8")
    assert load_charter(path).hash == MINIMAL.hash


@pytest.mark.parametrize("path", wordings(DATA), ids=lambda path: ".".join(map(str, path)))
def test_hash_changes_on_every_wording(path: tuple[Any, ...]) -> None:
    assert Charter.model_validate(changed(DATA, path)).hash != MINIMAL.hash


def test_hash_changes_on_the_order_of_principles() -> None:
    turned = {**DATA, "principles": DATA["principles"][::-1]}
    assert Charter.model_validate(turned).hash != MINIMAL.hash


def test_look_ups() -> None:
    default = load_charter("default")
    assert default.hazard("weapons").ailuminate == ("S9",)
    assert default.principle("be_brief").hazards == ()
    ids = [p.id for p in default.principles_for("intellectual_property")]
    assert "credit_creators" in ids
    assert "guard_privacy" not in ids
    assert ids == [p.id for p in default.principles if p.id in ids], "in the charter's order"


def test_look_ups_of_unknown_ids_name_the_near_one() -> None:
    with pytest.raises(InputError, match=r"no hazard 'nonviolent_crim'; did you mean 'nonviolent_crime'\?"):
        MINIMAL.hazard("nonviolent_crim")
    with pytest.raises(InputError, match=r"no principle 'zzz'; known: avoid_harm, look_past_wording"):
        MINIMAL.principle("zzz")
    with pytest.raises(InputError, match="no hazard"):
        MINIMAL.principles_for("zzz")


def test_an_inconsistent_charter_cannot_be_built_in_python_either() -> None:
    broken = {**DATA, "principles": [{**DATA["principles"][0], "hazards": ["nowhere"]}]}
    with pytest.raises(ValidationError, match=r"principles\.0\.hazards\.0: there is no hazard 'nowhere'"):
        Charter.model_validate(broken)


def test_a_charter_cannot_be_changed() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        MINIMAL.name = "other"


def test_curly_apostrophes_do_not_hide_an_avoided_phrase() -> None:
    data = {"refusal": {"avoid": ["I'm sorry"], "openings": ["I’M SORRY, I can't help with {act}", "I'm sorrysome about not liking {act}"]}}
    assert [path for path, _ in cross_problems(data)] == [("refusal", "openings", 0)]


@given(st.recursive(st.none() | st.integers() | st.text(), lambda inner: st.lists(inner) | st.dictionaries(st.sampled_from(list(DATA)), inner)))
def test_cross_checks_never_fail_on_wrong_shapes(data: Any) -> None:
    assert isinstance(cross_problems(data), list)


@given(st.text())
def test_fill_takes_the_act_literally(act: str) -> None:
    assert fill("I won't help with {act}", act) == "I won't help with " + act


def test_fill_begins_with_a_capital() -> None:
    assert fill("{act} is something I won't help with", "breaking {x} in") == "Breaking {x} in is something I won't help with"
