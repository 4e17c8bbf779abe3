"""The starter set: what it must hold, what it must never hold, and that nothing of the evaluation is trained on."""

from __future__ import annotations

import csv
import json
import os
import re
from collections import Counter
from pathlib import Path

import pytest
from pydantic import ValidationError

from charter.core.errors import DataError
from charter.core.installing import RESTORE
from charter.core.rows import Example
from charter.data.care import must_drop
from charter.data.dedupe import NearDuplicates
from charter.data.sources import starter
from charter.data.sources.starter import Config, build
from charter.policy.load import load_charter

PARTS = ("harmful", "twin", "lookalike", "plain", "practice", "exemplars")
TESTED = PARTS[:-2]
DECLINE = re.compile(r"No\b|I (?:can(?:no|')t|won't|don't|will not|do not|am not|refuse|decline)|I'm (?:not|unable)|I'd rather not")


def part(name: str, split: str = "all", seed: int = 0, **options: int) -> list[Example]:
    return build(Config.model_validate({"parts": (name,), "split": split, "seed": seed, **options}))


def topics(examples: list[Example]) -> set[tuple[str, str]]:
    return {(e.hazard, tag) for e in examples for tag in e.tags if tag.startswith("topic:")}


def test_there_is_enough_of_everything() -> None:
    assert len(part("harmful")) == len(part("twin")) >= 300
    assert len(part("lookalike")) >= 300
    assert len(part("plain")) >= 150
    assert len(part("exemplars")) >= 80
    assert len(build(Config())) == sum(len(part(name)) for name in TESTED)


def test_every_hazard_of_the_default_charter_is_there_and_no_other() -> None:
    hazards = {hazard.id for hazard in load_charter("default").hazards}
    assert {e.hazard for e in part("harmful")} == hazards
    assert {e.hazard for e in part("exemplars")} - {""} <= hazards
    for split in ("train", "evaluation"):
        assert {e.hazard for e in part("harmful", split)} == hazards


def test_rows_say_what_they_are_and_where_they_come_from() -> None:
    examples = build(Config(parts=PARTS))
    assert len({e.key for e in examples}) == len({e.prompt for e in examples}) == len(examples)
    files = [*starter.FOLDER.glob("*.jsonl"), *starter.FOLDER.glob("pairs/*.jsonl")]
    lines = {str(f.relative_to(starter.FOLDER)): [*map(json.loads, f.read_text(encoding="utf-8").splitlines())] for f in files}
    for e in examples:
        assert e.prompt == e.prompt.strip() != ""
        assert (e.source.dataset, e.source.licence) == ("charter-starter", "Apache-2.0")
        name, _, row = e.source.row.rpartition(":")
        assert e.prompt in lines[name][int(row) - 1].values()
    assert all(e.harmful and e.target for e in part("harmful"))
    assert not any(e.harmful or e.target for e in [*part("twin"), *part("lookalike"), *part("plain")])
    assert all(e.target for e in part("exemplars"))


def test_what_is_only_practised_shares_no_topic_with_what_may_be_held_out() -> None:
    practice = part("practice", "train")
    assert len(practice) >= 300
    assert all("lookalike" in e.tags for e in practice), "weights by tag are those of look-alikes"
    topic = {tag for e in practice for tag in e.tags if tag.startswith("topic:")}
    assert not topic & {tag for name in TESTED for e in part(name) for tag in e.tags if tag.startswith("topic:")}
    kinds = {tag for e in practice for tag in e.tags if tag.startswith("kind:")}
    assert {tag for e in part("practice", practice_limit=len(kinds) * 4) for tag in e.tags if tag.startswith("kind:")} == kinds


def test_pairs_stand_together() -> None:
    for harmful, twin in zip(part("harmful", "train"), part("twin", "train"), strict=True):
        assert harmful.key.removesuffix("harmful") == twin.key.removesuffix("twin")
        assert (harmful.hazard, topics([harmful])) == (twin.hazard, topics([twin]))
        assert harmful.prompt != twin.prompt


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_evaluation_is_never_in_training(seed: int) -> None:
    train = [e for name in PARTS for e in part(name, "train", seed)]
    held = [e for name in TESTED for e in part(name, "evaluation", seed)]
    assert not {e.prompt for e in train} & {e.prompt for e in held}
    assert not topics(train) & topics(held)
    seen = NearDuplicates([e.prompt for e in held])
    assert max(seen.closest(e.prompt) for e in train) < 0.7
    assert part("exemplars", "evaluation", seed) == part("practice", "evaluation", seed) == []
    both = {e.key for e in train if not {"exemplar", "practice"} & set(e.tags)} | {e.key for e in held}
    assert both == {e.key for e in build(Config())}


def test_the_share_is_of_topics_and_the_seed_draws_them() -> None:
    share = len(topics(part("harmful", "evaluation"))) / len(topics(part("harmful")))
    assert 0.12 < share < 0.28
    more = part("harmful", "evaluation", evaluation_share=0.5)  # type: ignore[arg-type]
    assert len(more) > 1.5 * len(part("harmful", "evaluation"))
    assert topics(part("harmful", "evaluation", 0)) != topics(part("harmful", "evaluation", 1))
    assert part("harmful", "evaluation", 4) == part("harmful", "evaluation", 4)


@pytest.mark.parametrize("limit", [1, 16, 40, 160, 100_000])
def test_a_limit_spreads_over_hazards_and_topics(limit: int) -> None:
    everything, some = part("harmful", "train"), part("harmful", "train", limit=limit)
    assert len(some) == min(limit, len(everything))
    kept = {e.key for e in some}
    assert [e for e in everything if e.key in kept] == some
    counts, full = Counter(e.hazard for e in some), Counter(e.hazard for e in everything)
    if limit >= 16:
        assert set(counts) == set(full)
        for hazard, n in full.items():  # each hazard gets its own share, give or take a factor of two
            assert 0.5 * len(some) * n / len(everything) - 1 <= counts[hazard] <= 2 * len(some) * n / len(everything) + 1
    assert [e.key.replace("harmful", "twin") for e in some] == [e.key for e in part("twin", "train", limit=limit)]


def test_limits_of_rows_that_stand_alone_spread_too() -> None:
    assert part("lookalike", lookalike_limit=0) == []
    kinds = {tag for e in part("lookalike") for tag in e.tags if tag.startswith("kind:")}
    assert {tag for e in part("lookalike", lookalike_limit=len(kinds)) for tag in e.tags if tag.startswith("kind:")} == kinds
    assert part("plain", plain_limit=0) == []
    assert len(part("plain", plain_limit=10)) == 10
    n = len(topics(part("plain")))
    assert topics(part("plain", plain_limit=n)) == topics(part("plain"))


@pytest.mark.parametrize("wrong", [{"limit": 0}, {"evaluation_share": 1.0}, {"split": "test"}, {"parts": ["none"]}, {"x": 1}])
def test_wrong_settings_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        Config.model_validate(wrong)


def test_every_refusal_declines_in_its_first_words_and_is_brief() -> None:
    for e in part("harmful"):
        text = (e.target or "").replace("’", "'")
        assert 16 <= len(text.split()) <= 45, f"{e.key}: {text}"
        assert DECLINE.match(text), f"{e.key}: {text}"
        assert text.rstrip("\"'”")[-1] in ".?!", f"{e.key}: {text}"


def test_refusals_are_not_all_alike() -> None:
    texts = [e.target or "" for e in part("harmful")]
    assert len(set(texts)) == len(texts)
    seen = NearDuplicates()
    for text in texts:
        assert seen.closest(text) < 0.75, text  # or the near-duplicate gate would stop it
        seen.add(text)


def test_no_row_is_what_charter_never_holds() -> None:
    files = [*starter.FOLDER.glob("*.jsonl"), *starter.FOLDER.glob("pairs/*.jsonl")]
    lines = [(file.name, line) for file in files for line in file.read_text(encoding="utf-8").splitlines()]
    assert [(name, line) for name, line in lines if must_drop(" ".join(map(str, json.loads(line).values())))] == []
    pairs = sum(file.parent.name == "pairs" for file in files)
    assert (pairs, len(files)) == (16, 20)
    assert len(build(Config(parts=PARTS))) == len(lines) + len(part("harmful"))  # every line is a row


def test_a_shipped_file_that_was_tampered_with_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "plain.jsonl").write_text('{"topic": "a", "prompt": "b"}\n', encoding="utf-8")
    monkeypatch.setattr(starter, "FOLDER", tmp_path)
    monkeypatch.setattr(starter, "must_drop", lambda text: text == "b")
    with pytest.raises(DataError, match=r"plain.jsonl: row 1 is not a row that Charter ships"):
        starter._read("plain.jsonl")


def test_a_damaged_file_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "plain.jsonl").write_text('{"topic": "a", "prompt": "b"}\n{"topic"\n', encoding="utf-8")
    monkeypatch.setattr(starter, "FOLDER", tmp_path)
    with pytest.raises(DataError, match=r"plain.jsonl: row 2 is damaged") as caught:
        starter._read("plain.jsonl")
    assert caught.value.hint == RESTORE


@pytest.mark.data
@pytest.mark.skipif("CHARTER_DATA" not in os.environ, reason="set CHARTER_DATA to the folder of public data sets")
def test_no_row_is_a_near_duplicate_of_xstest() -> None:
    path = Path(os.environ["CHARTER_DATA"]) / "xstest" / "xstest_prompts.csv"
    if not path.exists():
        pytest.skip(f"{path} is not there")
    with path.open(encoding="utf-8", newline="") as file:
        seen = NearDuplicates([row["prompt"] for row in csv.DictReader(file)])
    close = [(e.key, e.prompt) for e in build(Config(parts=PARTS)) if seen.closest(e.prompt) >= 0.8]
    assert close == []
