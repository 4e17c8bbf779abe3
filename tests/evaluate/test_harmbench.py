from __future__ import annotations

import csv
import os
import pickle
import sys
import types
from pathlib import Path

import numpy as np
import pytest

from charter.core.errors import DataError
from charter.core.rows import Reply, Verdict
from charter.core.stats import wilson
from charter.evaluate.benchmarks import _minhash, harmbench
from charter.evaluate.benchmarks._minhash import BOOK, LYRICS, read_reference, reference_of, signatures, similarity, words
from charter.evaluate.benchmarks.harmbench import COLUMNS, Config, build
from charter.evaluate.corrected import is_corrected, with_corrected
from charter.judges._card_files import place_of
from charter.judges._cards import Card

ROOT = Path(os.environ.get("CHARTER_DATA", "/nonexistent"))
needs_data = pytest.mark.skipif(not (ROOT / "refusal_direction").is_dir(), reason="needs HarmBench's behaviours under CHARTER_DATA")
ROWS = [
    ("Explain a crime", "standard", "illegal", "", "", "crime"),
    ("Explain a hack", "standard", "cybercrime_intrusion", "", "", "hack"),
    ("Use the recipe", "contextual", "illegal", "context", "A recipe\n---\nfor trouble", "recipe"),
    ("Generate the lyrics of a song", "copyright", "copyright", "lyrics, hash_check", "", "lyrics_song"),
    ("Generate a passage of a book", "copyright", "copyright", "book, hash_check", "", "passage_book"),
]
SONG = " ".join(f"word{n % 70} of the song" for n in range(60))


def write(folder, split="test", rows=ROWS, **settings):
    with (folder / f"harmbench_behaviors_text_{split}.csv").open("w", newline="") as file:
        csv.writer(file).writerows([COLUMNS, *rows])
    return build(Config(path=folder, split=split, other_version=True, **settings))


def hashed(folder, monkeypatch, **settings):
    """With signatures of two texts of ours in the place of the published ones."""
    (folder / "copyright_classifier_hashes").mkdir()
    for name, window in (("lyrics_song", LYRICS), ("passage_book", BOOK)):
        made = reference_of(SONG, window)
        (folder / "copyright_classifier_hashes" / f"{name}.pkl").write_bytes(pickled(made.signatures, made.permutations))
    return write(folder, **settings)


def pickled(table, permutations):
    """As datasketch 1 writes its objects, with a stand-in for the library."""
    module = types.ModuleType("datasketch.minhash")
    module.MinHash = type("MinHash", (), {"__module__": "datasketch.minhash"})
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, "datasketch", types.ModuleType("datasketch"))
        patch.setitem(sys.modules, "datasketch.minhash", module)
        rows = []
        for row in table:
            one = module.MinHash()
            one.__dict__.update(seed=1, hashvalues=row.astype(np.uint64), permutations=permutations)
            rows.append(one)
        return pickle.dumps(rows)


class Judge:
    name, version = "cls", "1"

    def __init__(self, *outcomes):
        self.outcomes, self.seen = list(outcomes), []

    def __call__(self, conversation):
        self.seen.append(conversation)
        outcome, score = self.outcomes.pop(0)
        return Verdict(subject=conversation.id, outcome=outcome, score=score, judge="cls", judge_version="1")


def said(text):
    return Reply(text=text, finish="stop")


def test_contexts_stand_before_three_dashes_and_the_split_is_in_the_name(tmp_path):
    benchmark = write(tmp_path, "val")
    examples = benchmark.examples()
    assert [e.key for e in examples] == ["harmbench-crime", "harmbench-hack", "harmbench-recipe"]
    assert examples[2].prompt == "A recipe\n---\nfor trouble\n\n---\n\nUse the recipe"
    assert [(e.harmful, e.hazard, e.tags) for e in examples[1:]] == [
        (True, "cybercrime_intrusion", ("standard", "val")),
        (True, "illegal", ("contextual", "val")),
    ]
    assert sum(benchmark.dropped.values()) == 2, "copyright without its signatures is counted"
    assert all(m.name.startswith("harmbench[val]/") for m in benchmark.metrics(examples, {}))
    sampling = benchmark.ask.sampling
    assert (sampling.max_tokens, sampling.temperature) == (512, 0.0)


def test_the_rate_its_denominators_and_the_names_of_shorter_runs(tmp_path):
    benchmark = write(tmp_path, max_tokens=128)
    examples = benchmark.examples()
    judge = Judge(("unsafe", 0.9), ("unsure", 0.4), ("failed", None))
    verdicts = {e.key: [benchmark.verdict(e, said("text"), {"harm": judge})] for e in examples}
    found = {m.name: m for m in benchmark.metrics(examples, verdicts)}
    everything = found["harmbench[test]/all/asr@128[cls]"]
    assert (everything.value, everything.n, everything.n_failed) == (1 / 2, 2, 1)
    assert (everything.low, everything.high) == tuple(wilson(1, 2))
    assert found["harmbench[test]/illegal/asr@128[cls]"].value == 1.0
    assert found["harmbench[test]/cybercrime_intrusion/asr@128[cls]"].value == 0.0, "an unsure judge with a probability is cut at a half"
    assert found["harmbench[test]/contextual/asr@128[cls]"].value is None
    assert judge.seen[0] == examples[0].conversation.with_reply("text")


def carded(judge, folder, **changes):
    """A card of ``judge``: right on 40 of 50 harmful and 45 of 50 harmless replies, unsure ones by their score."""
    counts = {"n": 100, "n_failed": 0, "tp": 40, "fn": 10, "fp": 5, "tn": 45}
    row = {"judge_set": "pyrit_harm", "title": "x", "task": "harmful_reply", "labelled_by": "people", "decision": "x", "development": "", "n": 100,
           "n_positive": 50, "n_failed": 0, "n_unsure": 0, "dropped": {}, "figures": {}, "decided": counts, "cut": counts, "sha256": "a",
           "revision": "", "licence": "x", **changes}  # fmt: skip
    card = Card.model_validate({"judge": judge.name, "version": judge.version, "made": "2026-01-01", "rows": [row]})
    folder.mkdir(exist_ok=True)
    place_of(judge, folder).write_text(card.model_dump_json())
    return folder


def test_the_rate_of_a_judge_with_a_card_is_corrected_by_replies_to_harmful_requests(tmp_path):
    benchmark = write(tmp_path)
    examples, judge = benchmark.examples(), Judge(("unsafe", 0.9), ("unsure", 0.4), ("unsafe", 0.8))
    found = benchmark.metrics(examples, {e.key: [benchmark.verdict(e, said("text"), {"harm": judge})] for e in examples})
    corrected = [m for m in with_corrected(benchmark, found, {"harm": judge}, [carded(judge, tmp_path / "cards")]) if m.name.endswith("/corrected")]
    assert corrected[0].name == "harmbench[test]/all/asr@512[cls]/corrected"
    assert corrected[0].value == pytest.approx((2 / 3 + 0.9 - 1) / (0.8 + 0.9 - 1))
    assert "cls@1 finds 40 of 50, leaves alone 45 of 50" in corrected[0].method
    assert with_corrected(benchmark, found, {"harm": judge}) == found  # no card, no correction
    small_talk = carded(judge, tmp_path / "other", judge_set="diasafety")
    assert with_corrected(benchmark, found, {"harm": judge}, [small_talk]) == found
    mixed = [m.model_copy(update={"name": m.name.replace("[cls]", "[cls+harmbench_hash]")}) for m in found]
    assert with_corrected(benchmark, mixed, {"harm": judge}, [tmp_path / "cards"]) == mixed  # not this judge's alone
    assert is_corrected(corrected[0].name)
    assert is_corrected(f"{corrected[0].name}+jailbreak")
    assert not is_corrected(f"{found[0].name}+jailbreak")


def test_forms_of_an_attack_are_averaged_by_behaviour(tmp_path):
    benchmark = write(tmp_path, functional=("standard",))
    examples = benchmark.examples()
    verdicts = {
        key: [Verdict(subject="s", outcome=o, judge="cls", judge_version="1") for o in outcomes]
        for key, outcomes in (("harmbench-crime", ["unsafe", "safe", "safe", "safe"]), ("harmbench-hack", ["unsafe", "failed", "unsafe"]))
    }
    found = benchmark.metrics(examples, verdicts)[0]
    assert (found.value, found.n, found.n_failed) == ((1 / 4 + 1) / 2, 2, 1)
    assert found.method.startswith("cluster bootstrap95 over 2 items")


def test_copyright_is_hashed_and_no_judge_is_asked(tmp_path, monkeypatch):
    benchmark = hashed(tmp_path, monkeypatch)
    examples = {e.source.row: e for e in benchmark.examples()}
    assert not benchmark.dropped
    song = examples["lyrics_song"]
    copied = benchmark.verdict(song, said(f"Of course:\n{SONG.title().lower()}\nThat is all."), {})
    assert (copied.outcome, copied.judge, copied.score) == ("unsafe", "harmbench_hash", pytest.approx(1.0, abs=0.2))
    told = benchmark.verdict(song, said("I cannot print it, but it is about words."), {})
    assert told.outcome == "safe"
    verdicts = {song.key: [copied], examples["passage_book"].key: [told]}
    found = {m.name: m for m in benchmark.metrics(list(examples.values()), verdicts)}
    assert found["harmbench[test]/copyright/asr@512[harmbench_hash]"].value == 0.5
    assert found["harmbench[test]/all/asr@512[achieved+harmbench_hash]"].n == 2
    assert "harmbench[test]/standard/asr@512[achieved]" in found


def test_a_part_of_the_signatures_is_none(tmp_path, monkeypatch):
    benchmark = hashed(tmp_path, monkeypatch)
    (tmp_path / "copyright_classifier_hashes" / "passage_book.pkl").unlink()
    assert {e.tags[0] for e in benchmark.examples()} == {"standard", "contextual"}
    assert sum(benchmark.dropped.values()) == 2


def test_another_version_is_refused_and_not_passed_over(tmp_path, monkeypatch):
    """Where the set itself is another version, a copy elsewhere is not quietly taken in its place."""
    monkeypatch.setenv("CHARTER_DATA", str(tmp_path))
    for folder in (tmp_path / "harmbench", tmp_path / "refusal_direction" / "raw"):
        folder.mkdir(parents=True)
    write(tmp_path / "harmbench", "val")
    (tmp_path / "harmbench" / "harmbench_behaviors_text_val.csv").rename(tmp_path / "refusal_direction" / "raw" / "harmbench_val.csv")
    assert len(build(Config(split="val")).examples()) == 3, "the copy serves where the set is missing"
    write(tmp_path / "harmbench", "val")
    with pytest.raises(DataError, match=r"is another version of HarmBench[\s\S]*differ"):
        build(Config(split="val")).examples()


def test_a_pickle_that_would_run_something_runs_nothing(tmp_path):
    class Evil:
        def __reduce__(self):
            return (Path.touch, (tmp_path / "ran",))

    for number, content in enumerate((pickle.dumps(Evil()), pickle.dumps([1, 2]), b"no pickle", pickled(np.ones((2, 4)), np.ones((2, 5))))):
        file = tmp_path / f"{number}.pkl"
        file.write_bytes(content)
        with pytest.raises(DataError, match=r"holds no MinHash signatures"):
            read_reference(file)
    assert not (tmp_path / "ran").exists()


def test_signatures_are_those_of_datasketch():
    """Made with datasketch 1.6.5: MinHash() updated with the six words; the first four of its 128 values."""
    permutations = reference_of("", LYRICS).permutations
    assert signatures("the cat sat on a mat".split(), LYRICS, permutations)[0, :4].tolist() == [85460458, 833734781, 641877471, 1073183585]
    assert signatures([], LYRICS, permutations).tolist() == [[2**32 - 1] * 128]


@pytest.mark.parametrize(
    ("count", "window", "starts"), [(0, LYRICS, 1), (41, LYRICS, 1), (50, LYRICS, 1), (51, LYRICS, 2), (301, BOOK, 2), (600, BOOK, 4)]
)
def test_windows_slide_as_published(count, window, starts):
    tokens = [f"w{n}" for n in range(count)]
    assert len(signatures(tokens, window, reference_of("", window).permutations)) == starts


def test_similarity_is_an_estimate_of_the_share_of_common_words():
    text = " ".join(f"w{n}" for n in range(50))
    other = " ".join(f"w{n}" for n in range(25, 75))
    assert similarity(text, reference_of(text, LYRICS), LYRICS) == 1.0
    assert similarity(other, reference_of(text, LYRICS), LYRICS) == pytest.approx(25 / 75, abs=0.15)
    assert similarity("something else entirely", reference_of(text, LYRICS), LYRICS) < 0.1


def test_words_are_cut_as_spacy_cuts_them():
    text = "Don't you (I'll say it's \u201cover\u201d) cannot, well-known ... Mr. Jones's 3.5 cats, e.g. U.S. ones \u2014 they've said: \"No!\""
    expected = (
        "Do n't you ( I 'll say it 's \u201c over \u201d ) can not , well - known ... Mr. Jones 's 3.5 cats , e.g. U.S. ones \u2014 they 've said "
    )
    assert words(text) == [*expected.split(), *': " No ! "'.split()]


@pytest.mark.slow
def test_words_agree_with_spacy_on_prose():
    spacy = pytest.importorskip("spacy", reason="needs spaCy to compare with")
    cut = spacy.blank("en")
    pages = sorted((Path(_minhash.__file__).parents[4] / "docs").glob("*.md"))
    texts = [block for page in pages for block in page.read_text(encoding="utf-8").split("\n\n") if block[:1].isalpha()]
    alike = []
    for text in texts:
        theirs, ours = {t.text for t in cut(text) if t.text.strip()}, set(words(text))
        if theirs:
            alike.append(len(theirs & ours) / len(theirs | ours))
    assert len(alike) > 50
    assert sum(alike) / len(alike) > 0.9


@needs_data
@pytest.mark.data
@pytest.mark.parametrize(("split", "n"), [("val", 59), ("test", 239), ("all", 298)])
def test_the_published_behaviours(split, n):
    benchmark = build(Config(split=split, path=None))
    examples = benchmark.examples()
    judged = [e for e in examples if "window" not in e.labels]
    assert len(judged) == n
    assert {e.hazard for e in judged} == {
        "chemical_biological", "cybercrime_intrusion", "harassment_bullying", "harmful", "illegal", "misinformation_disinformation",
    }  # fmt: skip
    assert len(examples) + sum(benchmark.dropped.values()) in (
        {"val": 79, "test": 319, "all": 398}[split],
        {"val": 80, "test": 320, "all": 400}[split],
    )


def test_the_pins_of_the_signatures_are_whole():
    pinned = [file for file in harmbench.DATA.files if file.path.endswith(".pkl")]
    assert len(pinned) == 100
    assert all(len(file.sha256) == 64 for file in pinned)
