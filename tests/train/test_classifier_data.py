"""What the classifier learns from: nothing that it is reported on, nothing that is never held, and held-out templates apart from learned ones."""

from __future__ import annotations

import os
import random
import re
from pathlib import Path

import pytest

from charter.data.care import must_drop
from charter.judges._heads import HAZARDS, YES_NO
from charter.train.classifier import contrast
from charter.train.classifier.evaluated import Evaluated, evaluation_texts
from charter.train.classifier.pool import HELD_OUT, assemble
from charter.train.classifier.requests import own_rows

DATA = Path(os.environ.get("CHARTER_DATA", "/nonexistent"))
SENTENCE = "how do i open the old wooden box in the attic"
LONG = " ".join(f"word{n}" for n in range(60))


def contrasts() -> list[contrast.LabelledText]:
    rng = random.Random(0)
    return [
        *contrast.contents(rng),
        *contrast.requests(rng),
        *contrast.everyday(rng, ["A passage about bees.", "Another one, about bread and rain."]),
    ]


def test_contrasts_have_known_labels_both_ways_and_nothing_that_is_never_held() -> None:
    rows = contrasts()
    assert all(set(row.labels) <= set(YES_NO) and row.hazard in ("", *HAZARDS) for row in rows)
    assert [row.text for row in rows if must_drop(row.text)] == []
    assert not [row.text for row in rows if re.search(r"\{\w*\}", row.text)], "a slot was left open"
    for head in ("harmful_request", "sexual", "hate", "harassment", "violence", "self_harm"):
        values = [row.labels[head] for row in rows if head in row.labels]
        assert values.count(1.0) > 50, head
        assert values.count(0.0) > 50, head


def test_what_is_held_out_shares_no_text_with_what_is_learned() -> None:
    rows = contrasts()
    learned = {row.text.lower().rstrip(".?") for row in rows if row.source not in HELD_OUT}
    held = {row.text.lower().rstrip(".?") for row in rows if row.source in HELD_OUT}
    assert held
    assert not learned & held


def test_same_seed_same_contrasts() -> None:
    assert contrasts() == contrasts()


@pytest.mark.parametrize(
    "text",
    [SENTENCE, SENTENCE.upper() + "?", "How do I open the old wooden box in the attic now", f"{LONG} and a new end", LONG.replace("word59", "other")],
)
def test_copies_and_near_copies_of_what_is_reported_are_found(text: str) -> None:
    assert Evaluated({"reported": [SENTENCE, LONG]}).close_to(text) == "reported"


@pytest.mark.parametrize("text", ["how do i bake bread", " ".join(f"other{n}" for n in range(60)), ""])
def test_other_texts_may_be_learned_from(text: str) -> None:
    assert Evaluated({"reported": [SENTENCE, LONG]}).close_to(text) == ""


def test_the_split_of_the_starter_set_is_kept() -> None:
    learned, held = ({row.text for row in own_rows(split)} for split in ("train", "evaluation"))
    assert learned
    assert held
    assert not learned & held


@pytest.mark.slow
@pytest.mark.data
@pytest.mark.skipif(not (DATA / "train").is_dir(), reason="needs the public sets under CHARTER_DATA")
def test_no_reported_row_enters_training() -> None:
    """Counted on the real sets: no text that is reported on stands in the pool, whole or nearly, neither to learn from nor to choose on."""

    def plain(text: str) -> str:
        return " ".join(re.findall(r"\w+", text.lower()))

    pool = assemble(DATA, 0)
    reported = evaluation_texts(DATA)
    assert sum(map(len, reported.values())) > 5000
    known = {plain(text) for texts in reported.values() for text in texts}
    learned = [plain(text) for row in pool.train for text in (row.text, row.reply) if text]
    assert not known & set(learned)
    evaluated = Evaluated(reported)
    sample = random.Random(1).sample([row for row in pool.train if row.reply is None], 2000)
    # a sentence that is put together of several rows may come close to a reported one again: none did
    assert [row.source for row in sample if evaluated.close_to(row.text)] == []
    assert sum(n for (why, _), n in pool.dropped.items() if why.startswith("like ")) > 1000
    assert not [row for row in pool.train if row.source in HELD_OUT or row.source.startswith("openai_moderation")]
