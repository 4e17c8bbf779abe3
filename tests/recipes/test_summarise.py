from __future__ import annotations

from types import SimpleNamespace

import pytest

from charter.core.progress import SILENT
from charter.core.rows import Metric
from charter.core.stats import rate
from charter.policy.load import load_charter
from charter.recipes.config import load_recipe
from charter.recipes.context import Context
from charter.recipes.summarise import EXAMPLES_SHOWN, _facts, _families, _hazards, _picked, _stage, _titles
from charter.report.page import Fact, FamilyCount, HazardRow, SideBySide
from charter.store.runs import RunFolder


def campaign(path, *metrics):
    with RunFolder(path, "redteam", {}) as folder:
        folder.log("metrics", Metric).append((metric.name, metric) for metric in metrics)
    return path


def test_the_report_counts_goals_and_shows_attempts_beside_them(tmp_path):
    attempts = rate("attempt_success/jailbreak", 9, 80)
    every, partly = rate("attempt_success", 9, 120), rate("attack_partial/jailbreak", 3, 18, 2)
    folder = campaign(tmp_path, rate("attack_success", 5, 20), rate("attack_success/jailbreak", 4, 18, 2), every, attempts, partly)
    assert _families(folder) == (FamilyCount("all families", 20, 5, 0, every), FamilyCount("jailbreak", 18, 4, 2, attempts, 3))


def test_the_report_says_how_many_hazards_no_goal_was_of(tmp_path):
    with RunFolder(tmp_path, "redteam", {}) as folder:
        folder.finish(rows_in=1, rows_out=1, outputs={"hazards_untouched": "fraud, weapons"})
        run = folder.run
    assert Fact("hazards of the charter that no goal of the red team is of", 2) in _facts([(tmp_path, run)])


def test_what_an_older_campaign_called_its_success_is_shown_as_attempts(tmp_path):
    attempts = rate("attack_success/jailbreak", 9, 80)
    assert _families(campaign(tmp_path, rate("attack_success", 9, 80), attempts)) == (FamilyCount("jailbreak", 0, 0, 0, attempts),)
    assert _families(tmp_path / "none") == ()


def pair(number, harmful, before, after):
    kind = "harmful" if harmful else "lookalike"
    return SideBySide(
        key=f"set/{kind}/{number:03}", prompt="p", harmful=harmful, hazard="", before="b", after="a", before_label=before, after_label=after
    )


def test_the_report_shows_what_got_worse_then_all_else_that_changed():
    over = [pair(n, False, "none", "full" if n % 2 else "partial") for n in range(12)]
    broken = [pair(n, True, "full", "none") for n in range(3)]
    better = [pair(100 + n, True, "none", "full") for n in range(30)]
    same = [pair(200 + n, bool(n % 2), "none", "none") for n in range(395)]
    shown = _picked([*same, *better, *broken, *over])
    assert (len(shown), {p.key for p in shown[:15]}) == (EXAMPLES_SHOWN, {p.key for p in [*over, *broken]})
    assert {p.key for p in shown[15:45]} == {p.key for p in better}
    assert {p.harmful for p in shown[45:]} == {True, False}, "the rest is a spread"
    assert len(_picked([*better, *same[:7]])) == 37


def test_where_too_much_changed_both_kinds_of_harm_are_seen():
    over, broken = [pair(n, False, "none", "full") for n in range(80)], [pair(n, True, "full", "none") for n in range(80)]
    shown = _picked([*over, *broken, pair(0, True, "none", "full")])
    assert (len(shown), sum(p.harmful for p in shown), all(p.worse for p in shown)) == (EXAMPLES_SHOWN, EXAMPLES_SHOWN // 2, True)
    assert not any(pair(0, harmful, "unsure", after).worse for harmful in (True, False) for after in ("none", "full", "failed"))


def test_rows_that_were_cut_short_and_kept_are_no_drops(tmp_path):
    with RunFolder(tmp_path, "train sft", {}) as folder:
        folder.finish(rows_in=17, rows_out=16, dropped={"no answer": 1, "answer cut to max_length (row kept)": 13}, outputs={"steps": "3"})
        run = folder.run
    assert _stage(run).dropped == {"no answer": 1}
    assert _facts([(tmp_path, run)]) == (Fact("train sft: steps", 3), Fact("train sft: answer cut to max_length (row kept)", 13))


@pytest.mark.parametrize("spec", ["minimal", "gone.yaml"])
def test_hazards_go_by_id_where_the_charter_is_no_longer_the_runs(tmp_path, spec):
    summary = SimpleNamespace(
        charter=SimpleNamespace(name="default", hash=load_charter("default").hash),
        before=SimpleNamespace(groups={"harmful_compliance/fraud": 1, "over_refusal/plain": 2}),
        after=SimpleNamespace(groups={"harmful_compliance/fraud": 3}),
    )
    recipe = load_recipe(None, [], {"model": "scripted", "charter": spec})
    assert _titles(Context(recipe, tmp_path, SILENT), summary) is None
    assert _hazards({}, summary) == (HazardRow("fraud", 1, 3),)
    assert _hazards({"weapons": "Weapons", "fraud": "Fraud"}, summary) == (HazardRow("Fraud", 1, 3),)
    own = load_recipe(None, [], {"model": "scripted", "charter": "default"})
    assert _titles(Context(own, tmp_path, SILENT), summary)
