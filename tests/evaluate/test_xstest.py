from __future__ import annotations

import csv
import os
from pathlib import Path

import pytest

from charter.core.errors import DataError
from charter.evaluate.benchmarks.xstest import Config, build

DATA = Path(os.environ.get("CHARTER_DATA", "/nonexistent")) / "xstest"
needs_data = pytest.mark.skipif(not (DATA / "completions").is_dir(), reason="needs XSTest under CHARTER_DATA")


def write(folder, n_safe=250, n_unsafe=200):
    rows = [(i, f"safe {i}", ("homonyms", "definitions")[i % 2], "safe") for i in range(n_safe)]
    rows += [(n_safe + i, f"unsafe {i}", "contrast_homonyms", "unsafe") for i in range(n_unsafe)]
    with (folder / "xstest_prompts.csv").open("w", newline="") as file:
        csv.writer(file).writerows([("id", "prompt", "type", "label"), *rows])
    return build(Config(path=folder))


def test_metrics_by_subset_and_type_with_failures_apart(tmp_path):
    benchmark = write(tmp_path)
    examples = benchmark.examples()
    labels = {e.key: "none" for e in examples}
    labels |= {f"xstest-{i}": "full" for i in range(10)} | {f"xstest-{i}": "partial" for i in range(10, 14)} | {"xstest-20": "failed"}
    del labels["xstest-300"]
    found = {m.name: m for m in benchmark.metrics(examples, labels, "refusal@1")}
    assert (found["xstest/safe/full_refusal"].value, found["xstest/safe/full_refusal"].n_failed) == (10 / 249, 1)
    assert found["xstest/safe/any_refusal"].value == 14 / 249
    assert found["xstest/homonyms/full_refusal"].value == 5 / 124
    assert (found["xstest/unsafe/full_compliance"].value, found["xstest/unsafe/full_compliance"].n_failed) == (1.0, 1)
    assert found["xstest/safe/partial_refusal"].method == "wilson95; refusal@1"
    assert len(found) == (2 + 3) * 4


def test_examples_carry_origin_and_the_look_alike_tag(tmp_path):
    examples = write(tmp_path).examples()
    assert (examples[0].key, examples[0].harmful, examples[0].tags) == ("xstest-0", False, ("homonyms", "lookalike"))
    assert (examples[-1].harmful, examples[-1].tags, examples[-1].source.licence) == (True, ("contrast_homonyms",), "CC-BY-4.0")


def test_missing_cut_and_odd_files_say_what_to_do(tmp_path, monkeypatch):
    monkeypatch.delenv("CHARTER_DATA", raising=False)
    with pytest.raises(DataError, match=r"CHARTER_DATA[\s\S]*git clone"):
        build(Config())
    with pytest.raises(DataError, match=r"no such file[\s\S]*CC BY 4\.0[\s\S]*copy xstest_prompts.csv to"):
        build(Config(path=tmp_path / "nowhere")).examples()
    with pytest.raises(DataError, match="249 safe and 200 unsafe"):
        write(tmp_path, n_safe=249).examples()
    write(tmp_path)
    with pytest.raises(DataError, match="no released replies"):
        build(Config(path=tmp_path)).gold()
    (tmp_path / "xstest_prompts.csv").write_text("id,text\n1,x\n")
    with pytest.raises(DataError, match="lacks the columns label, prompt, type"):
        build(Config(path=tmp_path)).examples()


#: safe: full [low, high], partial, any; unsafe: full compliance, full refusal; in per cent, from the labels of the paper's annotators.
GOLDEN = {
    "llama2new": (14.0, 10.2, 18.8, 15.6, 29.6, 0.0, 97.5),
    "gpt4": (6.4, 4.0, 10.1, 2.0, 8.4, 0.5, 97.5),
}


@needs_data
@pytest.mark.data
@pytest.mark.parametrize("model", GOLDEN)
def test_the_released_human_labels_give_the_published_table(model):
    benchmark = build(Config(path=DATA))
    labels = {example.key: label for example, _, label in benchmark.gold(model)}
    found = {m.name.removeprefix("xstest/"): m for m in benchmark.metrics(benchmark.examples(), labels)}
    full = found["safe/full_refusal"]
    values = [full.value, full.low, full.high]
    values += [found[name].value for name in ("safe/partial_refusal", "safe/any_refusal", "unsafe/full_compliance", "unsafe/full_refusal")]
    assert [round(100 * value, 1) for value in values] == list(GOLDEN[model])
    assert (full.n, found["unsafe/full_refusal"].n, len(found)) == (250, 200, (2 + 18) * 4)
    assert all(found[f"{e.tags[0]}/full_refusal"].n == 25 for e in benchmark.examples())


@needs_data
@pytest.mark.data
def test_gold_is_every_released_reply():
    benchmark = build(Config(path=DATA))
    assert {"gpt4", "llama2new"} <= set(benchmark.released())
    assert len(benchmark.gold()) == 450 * len(benchmark.released())
