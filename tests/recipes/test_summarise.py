from __future__ import annotations

from charter.core.rows import Metric
from charter.core.stats import rate
from charter.recipes.summarise import _families
from charter.report.page import FamilyCount
from charter.store.runs import RunFolder


def campaign(path, *metrics):
    with RunFolder(path, "redteam", {}) as folder:
        folder.log("metrics", Metric).append((metric.name, metric) for metric in metrics)
    return path


def test_the_report_counts_goals_and_shows_attempts_beside_them(tmp_path):
    attempts = rate("attempt_success/jailbreak", 9, 80)
    folder = campaign(tmp_path, rate("attack_success", 5, 20), rate("attack_success/jailbreak", 4, 18, 2), rate("attempt_success", 9, 80), attempts)
    assert _families(folder) == (FamilyCount("jailbreak", 18, 4, 2, attempts),)


def test_what_an_older_campaign_called_its_success_is_shown_as_attempts(tmp_path):
    attempts = rate("attack_success/jailbreak", 9, 80)
    assert _families(campaign(tmp_path, rate("attack_success", 9, 80), attempts)) == (FamilyCount("jailbreak", 0, 0, 0, attempts),)
    assert _families(tmp_path / "none") == ()
