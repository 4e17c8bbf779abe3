"""Two runs, paired: the right test for each number, and refusals where a comparison would mislead."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from made_runs import TYPES, WORDS, graded_run, prompts, xstest_run

from charter.core.errors import InputError
from charter.core.resampling import paired_bootstrap
from charter.core.rows import Metric, Verdict
from charter.core.seeds import derive
from charter.core.stats import holm, mcnemar_exact, paired_difference, rate
from charter.evaluate.changed import changes, counts
from charter.evaluate.differences import OVERALL, differences, reach, with_holm
from charter.evaluate.itemwise import Taker, left_out
from charter.evaluate.pairing import pair, unshared
from charter.evaluate.plan import Disguise
from charter.evaluate.shelved import Options
from charter.evaluate.sides import open_run, plain_numbers
from charter.evaluate.trends import adjusted, trends
from charter.redteam.attacks._framing import FramedAttack
from charter.store.runs import RunFolder


def two(tmp_path: Path, before: list[str], after: list[str], **settings: object):
    xstest_run(tmp_path / "a", before)
    xstest_run(tmp_path / "b", after, **settings)
    return [open_run(tmp_path / name) for name in "ab"]


def by_name(found):
    return {row.metric: row for row in found}


def test_yes_or_no_items_get_mcnemar_and_newcombe(tmp_path):
    """The labels of XSTest's annotators on the safe prompts, Llama 2 with and without its system prompt: 80 and 5 of 250 (p = 1.8e-18)."""
    before = ["full"] * 80 + ["none"] * 5 + ["full"] * 15 + ["none"] * 150
    after = ["none"] * 80 + ["full"] * 5 + ["full"] * 15 + ["none"] * 150
    found = by_name(differences(pair(two(tmp_path, before, after))[0]))
    row, expected = found["xstest/safe/full_refusal"], paired_difference(15, 80, 5, 150)
    assert (row.b, row.c, row.n) == (80, 5, 250)
    assert (row.difference, row.low, row.high) == pytest.approx((-0.3, expected.low, expected.high))
    assert row.p == pytest.approx(1.8e-18, rel=0.05)
    assert row.method == "newcombe95, mcnemar exact"
    assert (row.before, row.after) == (0.38, 0.08)
    assert found["xstest/wrong"].family == OVERALL
    assert found["xstest/wrong"].difference == pytest.approx(-0.3)
    assert found[f"xstest/{TYPES[0]}/full_refusal"].n == 125
    assert len(found) == 1 + 4 * 3  # wrong, and four rates over safe and two types; nothing is said of unsafe prompts, of which there are none


def test_items_that_failed_in_either_run_are_in_no_pair(tmp_path):
    shared = pair(two(tmp_path, ["full", "none", "", "none", "partial", "unsure"], ["none", "none", "none", "", "full", "none"]))[0]
    row = by_name(differences(shared))["xstest/safe/full_refusal"]
    assert (row.n, row.b, row.c) == (3, 1, 1)
    found = sorted(changes(shared), key=lambda change: change.key)
    assert [change.kind for change in found] == ["fixed", "still right", "left out", "left out", "still wrong", "left out"]
    assert found[4].labels == ("partial", "full")
    assert counts(found) == {"broken": 0, "fixed": 1, "still wrong": 1, "still right": 1, "left out": 3, "not counted": 0}


def test_scores_and_samples_and_templates_get_the_bootstrap(tmp_path):
    rng = np.random.default_rng(3)
    old, new = rng.random((60, 4)).round(3), rng.random((60, 4)).round(3) ** 2
    for name, grades in (("a", old), ("b", new)):
        graded_run(tmp_path / name, grades.tolist(), templates=12)
    found = by_name(differences(pair([open_run(tmp_path / name) for name in "ab"])[0]))
    row = found["graded/grade"]
    expected = paired_bootstrap(old.mean(1), new.mean(1), [i % 12 for i in range(60)], seed=derive(0, "graded/grade"))
    assert (row.difference, row.low, row.high, row.p) == pytest.approx((expected.value, expected.low, expected.high, expected.p), rel=0.05)
    assert row.method == "paired bootstrap95 over 12 clusters"
    assert (row.n, row.b) == (60, None)
    wrong = found["graded/wrong"]
    assert wrong.before == pytest.approx((old < 0.5).mean())
    assert wrong.difference == pytest.approx((new < 0.5).mean() - (old < 0.5).mean())


def test_a_number_that_is_no_mean_of_items_is_counted_anew_without_groups(tmp_path):
    """A product of two rates, as BBQ's score for ambiguous contexts."""
    labels = [["full", "none", "partial", "none"][i % 4] for i in range(200)], [["full", "none", "none", "none", "none"][i % 5] for i in range(200)]
    sides = two(tmp_path, *labels)

    def product(side):
        def count(examples, verdicts):
            found = {m.name: m for m in side.count(examples, verdicts)}
            full, none = found["xstest/safe/full_refusal"], found["xstest/safe/full_compliance"]
            value = None if full.value is None else full.value * (1 - none.value)
            return [full.model_copy(update={"name": "xstest/product", "value": value})]

        whole = count(list(side.examples.values()), side.verdicts)
        return type(side)(**{**vars(side), "count": count, "metrics": {m.name: m for m in whole}})

    shared = pair([{"xstest": product(run["xstest"])} for run in sides])[0]
    row = by_name(differences(shared))["xstest/product"]
    assert row.method == "jackknife95 over 40 groups"
    assert row.difference == pytest.approx(0.2 * 0.2 - 0.25 * 0.5)
    assert row.low < row.difference < row.high < 0
    assert 0 < row.p < 0.01
    assert row.n == 200


def of_complied(examples, verdicts):
    """Of the answers that are no refusals, how many are whole: BBQ's s_DIS is such a ratio, of the answers that name a person."""
    said = [verdicts[e.key][0].label for e in examples if e.key in verdicts]
    kept = [label for label in said if label in ("none", "partial")]
    return [rate("xstest/whole", kept.count("none"), len(kept))]


def with_ratio(run):
    side = run["xstest"]
    found = of_complied(list(side.examples.values()), side.verdicts)
    return {"xstest": type(side)(**{**vars(side), "count": of_complied, "metrics": {m.name: m for m in found}})}


def test_a_ratio_over_answers_of_one_kind_is_not_paired_on_those_alone(tmp_path):
    """The new run refuses just those items that it had answered in part. Paired on what both answered, nothing would have changed."""
    before, after = ["none", "partial"] * 100, ["none", "full"] * 100
    runs = [with_ratio(run) for run in two(tmp_path, before, after)]
    row = by_name(differences(pair(runs)[0]))["xstest/whole"]
    assert (row.before, row.after, row.n) == (0.5, 1.0, 200)
    assert 0.3 < row.low < row.difference == 0.5 < row.high
    assert row.p < 0.001
    assert row.method == "jackknife95 over 40 groups"
    slope = by_name(trends(pair([runs[0], runs[0], runs[1]])[0], [0, 1, 2]))["xstest/whole"]
    assert (slope.slope, slope.p) == (None, None), "items that only some runs count have no slope"
    assert [point.value for point in slope.points] == [0.5, 0.5, 1.0]


def test_items_that_failed_or_were_not_read_in_one_run_leave_the_others_paired(tmp_path):
    before, after = ["none"] * 30 + ["partial"] * 10, ["", "unsure"] + ["none"] * 28 + ["partial"] * 10
    row = by_name(differences(pair([with_ratio(run) for run in two(tmp_path, before, after)])[0]))["xstest/whole"]
    assert (row.n, row.difference, row.method) == (38, 0.0, "newcombe95, mcnemar exact")


def test_each_item_is_left_out_once_and_templates_stay_whole():
    examples = [e.model_copy(update={"labels": {"cluster": str(n % 50)}}) for n, e in enumerate(prompts(300))]
    parts = left_out(examples)
    assert len(parts) == 40
    gone = [{e.key for e in examples} - {e.key for e in part} for part in parts]
    assert sorted(key for keys in gone for key in keys) == sorted(e.key for e in examples)
    for keys in gone:
        clusters = {e.labels["cluster"] for e in examples if e.key in keys}
        assert len(keys) == 6 * len(clusters)


def test_what_an_item_contributes_is_worked_out_once_for_all_runs(tmp_path):
    runs = two(tmp_path, ["full", "none"] * 20, ["full", "none"] * 19 + ["none", "none"])
    asked = []

    def counting(side):
        return type(side)(**{**vars(side), "count": lambda examples, verdicts: (asked.append(len(examples)), side.count(examples, verdicts))[1]})

    differences(pair([{"xstest": counting(run["xstest"])} for run in runs])[0], Taker())
    assert asked.count(1) == 41


def test_holm_is_within_a_family_and_skips_what_has_no_p(tmp_path):
    found = with_holm(differences(pair(two(tmp_path, ["full"] * 10 + ["none"] * 40, ["none"] * 50))[0]))
    own = [row for row in found if row.family == "xstest"]
    assert [row.p_holm for row in own] == pytest.approx(holm([row.p for row in own]))
    (overall,) = [row for row in found if row.family == OVERALL]
    assert overall.p_holm == overall.p == mcnemar_exact(10, 0)


@pytest.mark.parametrize(("values", "expected"), [([0.0, 1.0], (-1, 1)), ([-0.5, 1.0], (-2, 2)), ([3.0, 80.0], (-np.inf, np.inf))])
def test_how_far_a_difference_can_reach(values, expected):
    assert reach(values) == expected


REFUSED = {
    "judge": ({"judge_version": "2"}, "differ in judge of refusal: words@1 and words@2"),
    "tokens": ({"max_tokens": 64}, "differ in max_tokens: 256 and 64"),
    "texts": (
        {"examples": [e.model_copy(update={"conversation": prompts(9)[8].conversation}) for e in prompts(4)]},
        "4 of 4 items .* another prompt",
    ),
    "marks": ({"examples": [*prompts(3), prompts(4)[3].model_copy(update={"harmful": True})]}, "1 of 4 items .* 'xstest-3': another harmful"),
    "items": ({"examples": prompts(8)[4:]}, "no item in common .*'xstest-[0-3]' and 'xstest-[4-7]'"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_runs_of_different_data_settings_or_judges_are_refused_with_the_difference_named(tmp_path, case):
    settings, message = REFUSED[case]
    runs = two(tmp_path, ["none"] * 4, ["none"] * 4, **settings)
    with pytest.raises(InputError, match=message):
        pair(runs)


def test_more_items_or_another_system_prompt_are_no_hindrance(tmp_path):
    runs = two(tmp_path, ["none"] * 4, ["full"] * 6, examples=prompts(6), options=Options(system="be careful"))
    (shared,) = pair(runs)
    assert (len(shared.keys), shared.alone) == (4, {"a": 0, "b": 2})
    assert by_name(differences(shared))["xstest/wrong"].n == 4


def test_runs_that_share_no_benchmark_are_told_what_each_has(tmp_path):
    xstest_run(tmp_path / "a", ["none"])
    graded_run(tmp_path / "b", [[0.1]])
    runs = [open_run(tmp_path / name) for name in "ab"]
    with pytest.raises(InputError, match="a has xstest; b has graded"):
        pair(runs)
    assert unshared(runs) == {"xstest": ["a"], "graded": ["b"]}


def test_a_folder_with_two_models_or_one_benchmark_twice_is_ambiguous(tmp_path):
    xstest_run(tmp_path / "both" / "a", ["none"], model="first")
    xstest_run(tmp_path / "both" / "b", ["none"], model="second")
    with pytest.raises(InputError, match="several models, first and second"):
        open_run(tmp_path / "both")
    xstest_run(tmp_path / "twice" / "a", ["none"])
    xstest_run(tmp_path / "twice" / "b", ["none"], options=Options(system="be kind"))
    with pytest.raises(InputError, match="holds xstest more than once"):
        open_run(tmp_path / "twice")
    with pytest.raises(InputError, match="no such folder"):
        open_run(tmp_path / "nowhere")
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="no evaluation"):
        open_run(tmp_path / "empty")


def test_a_benchmark_under_two_settings_is_paired_with_the_same_settings(tmp_path):
    for run in "ab":
        for tokens in (9, 64):
            xstest_run(tmp_path / run / str(tokens), ["none"] * 3, max_tokens=tokens)
    xstest_run(tmp_path / "c" / "64", ["full"] * 3, max_tokens=64)
    a, b, c = (open_run(tmp_path / run) for run in "abc")
    assert [shared.benchmark for shared in pair([a, b])] == ["xstest {max_tokens=64}", "xstest {max_tokens=9}"]
    (shared,) = pair([a, c])
    assert [side.folder.name for side in shared.sides] == ["64", "64"]
    assert unshared([a, c]) == {"xstest {max_tokens=9}": ["a"]}


def test_an_evaluation_of_an_align_run_can_be_paired_too(tmp_path, fakes):
    from charter.core.rows import Sampling
    from charter.evaluate.runner import evaluate

    examples = [fakes.example(f"k{i}", i % 2 == 0, "Sure, here" if i % 4 else "I cannot do that") for i in range(12)]
    for name, words in (("a", "Sure, here"), ("b", "I cannot do that")):
        changed = [e if i % 3 else fakes.example(e.key, e.harmful, words) for i, e in enumerate(examples)]
        same = [e.model_copy(update={"conversation": examples[i].conversation}) for i, e in enumerate(changed)]
        replies = {e.id: c.prompt.partition(">")[2] for e, c in zip((e.conversation for e in same), changed, strict=True)}
        model = fakes.model(name)
        model.reply = lambda conversations, sampling, replies=replies: [_reply(replies[c.id]) for c in conversations]
        with RunFolder(tmp_path / name, "evaluate", {"model": name}) as folder:
            evaluate(model, same, {"refusal": fakes.refusal()}, folder, Sampling())
    runs = [open_run(tmp_path / name) for name in "ab"]
    found = by_name(differences(pair(runs)[0]))
    assert runs[0]["evaluation"].model == "a"
    assert (found["harmful_compliance"].difference, found["harmful_compliance"].n) == (pytest.approx(-2 / 6), 6)
    assert found["over_refusal"].difference == pytest.approx(2 / 6)
    assert found["evaluation/wrong"].n == 12
    with RunFolder(tmp_path / "short", "evaluate", {"model": "b"}) as folder:
        evaluate(fakes.model("b"), examples, {"refusal": fakes.refusal()}, folder, Sampling(max_tokens=8))
    with pytest.raises(InputError, match="evaluation: a and short differ in max_tokens: 64 and 8"):
        pair([runs[0], open_run(tmp_path / "short")])


def _reply(text):
    from charter.core.rows import Reply

    return Reply(text=text, finish="stop")


def test_runs_under_an_attack_pair_only_with_the_same_words_and_seed(tmp_path):
    def attacked(name, framing="Please: {goal}", seed=0):
        disguise = Disguise("please", FramedAttack("please", (framing,), 1), seed)
        examples = prompts(0, 6)
        replies = {framing.replace("{goal}", e.prompt): WORDS["none"] for e in examples}
        xstest_run(tmp_path / name, ["none"] * 6, examples, options=Options(disguise=disguise), replies=replies)
        return open_run(tmp_path / name)

    first = attacked("first")
    assert pair([first, attacked("same")])
    for other in (attacked("text", "Now: {goal}"), attacked("seed", seed=1)):
        with pytest.raises(InputError, match="differ in words and seed of the attack: "):
            pair([first, other])


def test_a_trend_over_checkpoints(tmp_path):
    labels = [["full"] * n + ["none"] * (60 - n) for n in (30, 20, 10)]
    for name, found in zip("abc", labels, strict=True):
        xstest_run(tmp_path / name, found)
    (shared,) = pair([open_run(tmp_path / name) for name in "abc"])
    rows = {row.metric: row for row in adjusted(trends(shared, [0, 500, 1000]))}
    full = rows["xstest/safe/full_refusal"]
    assert [round(metric.value, 3) for metric in full.points] == [0.5, 0.333, 0.167]
    assert full.slope == pytest.approx(-1 / 3 / 1000)
    assert full.low < full.slope < full.high < 0
    assert full.p < 0.001
    assert full.n == 60
    assert rows["xstest/wrong"].family == OVERALL
    assert json.loads(full.model_dump_json())["at"] == [0, 500, 1000]


def test_epochs_of_an_imported_item_are_no_new_items():
    """Ten items of ten epochs, seven always right: as sure as seven of ten, not as seventy of a hundred."""
    seen = [Verdict(subject="s", outcome="safe", scores={"match": float(n < 7)}, judge="j", judge_version="1") for n in range(10)]
    lost = Verdict(subject="s", outcome="failed", judge="j", judge_version="1")
    examples = prompts(10)
    epochs = {e.key: [seen[n]] * 9 + [lost if n == 0 else seen[n]] for n, e in enumerate(examples)}
    (found,) = plain_numbers("t", examples, epochs)
    once = rate("t/match", 7, 10)
    assert (found.value, found.low, found.high, found.n) == (once.value, once.low, once.high, 10)
    assert (found.n_failed, found.n_answers, found.answers) == (1, 100, 100)
    (single,) = plain_numbers("t", examples, {e.key: [seen[n]] for n, e in enumerate(examples)})
    assert (single.n, single.n_answers) == (10, None)


def test_a_grade_that_no_group_of_items_moves_has_no_p(tmp_path):
    """A step: every replicate of the jackknife says the same, which is no sign that it could not have come out otherwise."""
    sides = []
    for name, wrong in (("a", 20), ("b", 40)):
        graded_run(tmp_path / name, [[0.1]] * wrong + [[0.9]] * (200 - wrong))
        side = open_run(tmp_path / name)["graded"]

        def count(examples, verdicts, side=side):
            share = sum(verdicts[e.key][0].outcome == "unsafe" for e in examples) / len(examples)
            step = Metric(name="graded/step", value=3.0 if share < 0.15 else 2.0, low=None, high=None, n=len(examples), method="a grade")
            return [*side.count(examples, verdicts), step]

        step = Metric(name="graded/step", value=3.0 if wrong == 20 else 2.0, low=None, high=None, n=200, method="a grade")
        sides.append(replace(side, count=count, metrics={**side.metrics, step.name: step}))
    (shared,) = pair([{"graded": side} for side in sides])
    row = {row.metric: row for row in differences(shared)}["graded/step"]
    assert (row.difference, row.p, row.low, row.high) == (-1.0, None, None, None)
