"""What a person gets instead of a text that was withheld: a few words in the charter's voice, never what was matched."""

from __future__ import annotations

from collections.abc import Sequence

from charter.core.errors import InputError
from charter.core.seeds import derive
from charter.guard.policy import GuardPolicy
from charter.judges import refusal
from charter.policy.charter import Charter

PLACEHOLDER = "{act}"
#: Stands for the act: the guard does not repeat what was asked.
ACT = "this"
FORWARD = "Tell me what you are trying to reach, and I'll look for a safe way."
#: Said when nothing was wrong with the text, but the guard could not check it.
UNAVAILABLE = "I can't answer right now, because a safety check did not finish. Please try again."


class Voice:
    """``voice(subject, hazards)``: the refusal. The same subject gives the same words. With a hazard: its reason and a way forward."""

    def __init__(self, policy: GuardPolicy, charter: Charter) -> None:
        """Raises InputError for a charter in another language than English with no refusal of its own: the joints are English."""
        if not policy.refusal and not charter.language.startswith("en"):
            raise InputError(
                f"guard {policy.name!r}: the charter {charter.name!r} speaks {charter.language!r}, so the guard needs its own words",
                'write refusal: "..." in the guard\'s file',
            )
        self._policy, self._charter = policy, charter
        self._openings = _understood(charter.refusal.openings)

    def __call__(self, subject: str, hazards: Sequence[str] = (), *, unavailable: bool = False) -> str:
        if self._policy.refusal:
            return self._policy.refusal
        if unavailable:
            return UNAVAILABLE
        style = self._charter.refusal
        opening = self._one(self._openings, subject, "opening").replace(PLACEHOLDER, ACT, 1)
        hazard = next((h for h in self._charter.hazards if h.id in hazards), None)
        if hazard is None:
            return f"{opening}. {FORWARD}"
        concern, forward = self._one(hazard.concern, subject, "concern"), self._one(hazard.way_forward, subject, "forward")
        text = f"{opening}, because {concern}. {forward}"
        return text if len(text.split()) <= style.max_words else f"{opening}. {forward}"

    def _one(self, choices: Sequence[str], subject: str, what: str) -> str:
        return choices[derive(0, what, subject) % len(choices)]


def _understood(openings: Sequence[str]) -> Sequence[str]:
    """Those that the refusal judge reads as declining, if any: else what the guard withheld would be counted as answered."""
    judge = refusal.build(refusal.Config())
    plain = [opening for opening in openings if judge.read("", f"{opening.replace(PLACEHOLDER, ACT, 1)}. {FORWARD}").label == "full"]
    return plain or openings
