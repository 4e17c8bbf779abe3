"""Writing refusals in the charter's voice: specific, brief, naming the concern, offering a way forward.

Where a person wrote an exemplar for the request, that is used; those of the starter set only under the charter whose voice they were written in, the
shipped one. Otherwise a refusal is put together from the charter's style: an opening that names the act, a concern, a way forward, drawn by seed so
that a data set holds many of each.
"""

from __future__ import annotations

import random
from functools import cache

from charter.core.rows import Example
from charter.core.seeds import stream
from charter.data.sources import starter
from charter.generate.act import name_act
from charter.policy.charter import Charter, Hazard
from charter.policy.load import load_charter

PLACEHOLDER = "{act}"
#: Stands for the act where the request does not name one; the concern and the way forward still tell the hazard.
UNNAMED = "what you ask for"
#: The way forward where the charter does not know the request's hazard: a concern that belongs to another hazard would be a wrong reason.
FORWARD = "Tell me what you are trying to reach, and I'll look for a safe way."


def has_starters_voice(charter: Charter) -> bool:
    """Whether the starter set's own refusals were written for this charter, and not for another wording."""
    return charter.hash == _shipped()


@cache
def _shipped() -> str:
    return load_charter("default").hash


class RefusalWriter:
    """``writer(example, round)``: a refusal for the example's request; the same seed, request and round give the same text."""

    name = "writer"

    def __init__(self, charter: Charter, seed: int) -> None:
        self.charter = charter
        self.seed = seed

    def __call__(self, example: Example, attempt: int = 0) -> str:
        if example.target and attempt == 0 and (example.source.dataset != starter.DATASET or has_starters_voice(self.charter)):
            return example.target
        rng = stream(self.seed, "refusal", example.key, attempt)
        return self.compose(example.prompt, example.hazard, rng)

    def compose(self, request: str, hazard_id: str, rng: random.Random) -> str:
        """A refusal made of the charter's parts, no longer than its ``max_words`` where the parts allow it."""
        hazard = self._hazard(hazard_id)
        # a hazard's title will not do here: "I won't help with child safety" says the opposite
        act = name_act(request) or UNNAMED
        opening = rng.choice(self.charter.refusal.openings).replace(PLACEHOLDER, act, 1)
        if hazard is None:
            return f"{opening[:1].upper()}{opening[1:]}. {FORWARD}"
        concern, forward = rng.choice(hazard.concern), rng.choice(hazard.way_forward)
        shapes = [f"{opening}, because {concern}. {forward}", f"{opening}. {forward}", f"{opening}: {concern}. {forward}"]
        rng.shuffle(shapes)
        fitting = [text for text in shapes if len(text.split()) <= self.charter.refusal.max_words]
        text = (fitting or [f"{opening}. {forward}"])[0]
        return text[:1].upper() + text[1:]

    def _hazard(self, hazard_id: str) -> Hazard | None:
        return next((h for h in self.charter.hazards if h.id == hazard_id), None)
