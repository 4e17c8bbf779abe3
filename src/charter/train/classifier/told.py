"""What a training tells its user of rows and heads, beside the card."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from charter.judges._card_check import untaught_of
from charter.judges._heads import CONTENT_HEADS, YES_NO
from charter.train.classifier.calibrate import FALSE_ALARMS, FEWEST, OTHER_ALARMS
from charter.train.classifier.rows import MOST_CHARACTERS, MOST_TOKENS, UNSERVED, LabelledText


def reasons(dropped: Mapping[tuple[str, str], int]) -> str:
    """Why rows were left out, the commonest first: ": 3 repeated, 1 care"; '' if none was."""
    counts: Counter[str] = Counter()
    for (why, _), count in dropped.items():
        counts[why] += count
    return f": {', '.join(f'{count:,} {why}' for why, count in counts.most_common())}" if counts else ""


def untaught(rows: Sequence[LabelledText]) -> list[str]:
    """The heads that no row taught: fewer than ``FEWEST`` rows are labelled for them, or all alike; ``hazards`` stands for them all. What is served
    as ``toxicity`` is made of the kinds of content, and is listed where none of them is taught."""
    heads = [head for head in YES_NO if head != UNSERVED and not _teach([row.labels[head] for row in rows if head in row.labels])]
    named = [row.hazard for row in rows if row.hazard]
    heads += ["hazards"] if len(named) < FEWEST or len(set(named)) < 2 else []
    return [*heads, UNSERVED] if set(CONTENT_HEADS) <= set(heads) else heads


def _teach(labels: Sequence[float]) -> bool:
    return len(labels) >= FEWEST and 0 < sum(map(round, labels)) < len(labels)


def too_long(rows: Sequence[LabelledText], tokenizer: Any) -> int:
    """How many own rows have more text than is learned from."""
    long = 0
    for row in rows:
        texts = [text for text in (row.text, row.reply, row.operator) if text] if row.licence == "own" else []
        # a token is a character or more
        long += any(
            len(text) > MOST_CHARACTERS or (len(text) > MOST_TOKENS and len(tokenizer.encode(text, add_special_tokens=False).ids) > MOST_TOKENS)
            for text in texts
        )
    return long


def figures(card: Mapping[str, Any]) -> list[str]:
    """A line for each head that gives a score, with its held-out rows of both kinds; what is not as sure as its numbers look; and which heads give
    none."""
    silent = untaught_of(card)
    lines = [_figure(name, head) for name, head in sorted(card["heads"].items()) if name not in {UNSERVED, *silent}]
    if nobody := card.get("untaught"):
        why = f"{FEWEST} rows are needed, and of both kinds"
        lines.append(f"without a score, for nothing or too little was learned ({why}): {', '.join(nobody)}")
    return lines


def _figure(name: str, head: Mapping[str, Any]) -> str:
    positive, points = head["n_positive"], head["points"]
    negative = head["n"] - positive
    shown = f"{UNSERVED} (any kind of content)" if name == "moderation" else name
    line = f"{shown}: {positive} held-out rows with it and {negative} without"
    if head["ece"] is None:
        return f"{line}, too few to calibrate on ({FEWEST}, of both kinds, are needed): its numbers mean little"
    line += f", ECE {head['ece']}, unsafe from {points['unsafe']}, safe under {points['safe']}"
    (share, _), _ = FALSE_ALARMS.get(name, OTHER_ALARMS)
    needed = math.ceil(1 / share)
    return f"{line}; too few without it to hold false alarms at {100 * share:g} % ({needed} are needed)" if negative < needed else line
