"""What people get instead of a withheld text reads as a refusal, also to the judge that counts refusals."""

from __future__ import annotations

import pytest

from charter.guard._refusal import PLACEHOLDER, Voice, _understood
from charter.guard.policy import GuardPolicy
from charter.judges import refusal
from charter.policy.load import load_charter


@pytest.mark.parametrize("charter", ["default", "minimal"])
def test_every_refusal_of_the_guard_is_counted_as_one(charter: str) -> None:
    judge, policy, rules = refusal.build(refusal.Config()), GuardPolicy(name="any", unguarded=("input", "output")), load_charter(charter)
    voice = Voice(policy, rules)
    said = {voice(f"subject {n}", hazards) for n in range(60) for hazards in ((), *((hazard.id,) for hazard in rules.hazards))}
    assert len(said) > 10
    assert [text for text in said if judge.read("How do I do it?", text).label != "full"] == []


def test_a_charter_with_words_of_its_own_keeps_them() -> None:
    assert _understood([f"No more of {PLACEHOLDER}, friend"]) == [f"No more of {PLACEHOLDER}, friend"]
