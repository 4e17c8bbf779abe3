"""Which answers changed for the better, which for the worse, and which are still wrong: item by item, over several runs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Literal

from charter.core.rows import Answer, Row
from charter.evaluate.itemwise import wrong_shares
from charter.evaluate.measured import example_of, place_of
from charter.evaluate.pairing import Shared

Kind = Literal["fixed", "broken", "still wrong", "still right", "left out", "not counted"]
#: In the order in which they are worth reading.
KINDS: tuple[Kind, ...] = ("broken", "fixed", "still wrong", "still right", "left out", "not counted")


class Change(Row):
    """One item from the first run to the last: ``wrong`` is the share of its readable answers that were wrong, one number per run."""

    benchmark: str
    key: str
    kind: Kind
    wrong: tuple[float | None, ...]
    labels: tuple[str, ...]


def changes(shared: Shared) -> list[Change]:
    """Every item of ``shared``. 'left out': no readable answer in the first or in the last run; 'not counted': neither right nor wrong (a stress
    test, prompts that nobody marked). With several samples an item is wrong where at least half of its answers are."""
    shares = [wrong_shares(side) for side in shared.sides]
    found = []
    for key in shared.keys:
        wrong = tuple(share[key].value if key in share else None for share in shares)
        labels = tuple(_label([v.label or v.outcome for v in side.verdicts.get(key, ())]) for side in shared.sides)
        kind: Kind = "not counted" if key in shared.sides[-1].beside else _kind(wrong[0], wrong[-1])
        found.append(Change(benchmark=shared.benchmark, key=key, kind=kind, wrong=wrong, labels=labels))
    return found


def counts(found: Sequence[Change]) -> dict[Kind, int]:
    """How many of each kind, all kinds, in order."""
    number = Counter(change.kind for change in found)
    return {kind: number[kind] for kind in KINDS}


def answers_of(shared: Shared, keys: Sequence[str]) -> dict[str, list[list[Answer]]]:
    """What each run said to these items: key -> per run its answers, in the order of its verdicts."""
    found: dict[str, list[list[Answer]]] = {key: [] for key in dict.fromkeys(keys)}
    for side in shared.sides:
        said: dict[str, dict[tuple[int, int], Answer]] = {key: {} for key in found}
        for key, answer in side.answers():
            if (example := example_of(key)) in said:
                said[example][place_of(key)] = answer
        for example, answers in said.items():
            found[example].append([answers[place] for place in sorted(answers)])
    return found


def _kind(before: float | None, after: float | None) -> Kind:
    if before is None or after is None:
        return "left out"
    if before >= 0.5:
        return "still wrong" if after >= 0.5 else "fixed"
    return "broken" if after >= 0.5 else "still right"


def _label(labels: Sequence[str]) -> str:
    """'full', or 'full 3, none 2' where samples differ."""
    number = Counter(labels)
    return next(iter(number), "") if len(number) == 1 else ", ".join(f"{label} {count}" for label, count in number.most_common())
