"""The dashboard and the alerts name only metrics and labels that the gateway has, and Prometheus itself can read them."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from charter.guard.gateway.metrics import SPECS

ROOT = Path(__file__).parents[2]
RULES = ROOT / "deploy" / "prometheus" / "charter.rules.yaml"
DASHBOARD = ROOT / "deploy" / "grafana" / "charter-gateway.json"
LABELS = {spec.name: set(spec.labels) for spec in SPECS}
HISTOGRAMS = {spec.name for spec in SPECS if spec.kind == "histogram"}


def unknown(expression: str, told: str = "") -> list[str]:
    """Metrics and labels of a query (and of the legend or annotation that tells it) that the gateway does not have."""
    wrong, seen = [], set()
    for name in re.findall(r"\bcharter_\w+", expression):
        base = re.sub(r"_(bucket|sum|count)$", "", name)
        metric = base if base in HISTOGRAMS else name
        if metric not in LABELS or (metric in HISTOGRAMS and metric == name):
            wrong.append(name)
        else:
            seen.add(metric)
    for name, selector in re.findall(r"\b(charter_\w+)\{([^}]*)\}", expression):
        metric = re.sub(r"_bucket$", "", name)
        wrong += [f"{name}{{{label}}}" for label in re.findall(r"(\w+)\s*[=!]~?", selector) if label not in LABELS.get(metric, ())]
    known = set().union({"le", "job", "instance"}, *(LABELS[name] for name in seen))
    grouped = [label.strip() for labels in re.findall(r"\bby \(([^)]*)\)", expression) for label in labels.split(",")]
    shown = re.findall(r"\$labels\.(\w+)", told) + re.findall(r"\{\{(\w+)\}\}", told)
    return wrong + [label for label in grouped + shown if label not in known]


def alerts() -> list[tuple[str, str, str]]:
    groups = yaml.safe_load(RULES.read_text(encoding="utf-8"))["groups"]
    return [(rule["alert"], rule["expr"], " ".join(rule["annotations"].values())) for group in groups for rule in group["rules"]]


def queries() -> list[tuple[str, str, str]]:
    panels = json.loads(DASHBOARD.read_text(encoding="utf-8"))["panels"]
    return [(panel["title"], target["expr"], target["legendFormat"]) for panel in panels for target in panel.get("targets", ())]


@pytest.mark.parametrize(("name", "expression", "told"), [pytest.param(*case, id=case[0]) for case in (*alerts(), *queries())])
def test_every_metric_and_label_exists(name: str, expression: str, told: str) -> None:
    assert unknown(expression, told) == []


@pytest.mark.parametrize(
    ("expression", "told", "wrong"),
    [
        ("rate(charter_requsts_total[5m])", "", ["charter_requsts_total"]),
        ('charter_requests_total{user="x"}', "", ["charter_requests_total{user}"]),
        ("sum by (key) (charter_requests_total)", "", ["key"]),
        ("charter_requests_total", "{{ $labels.guard }}", ["guard"]),
        ("charter_request_duration_seconds", "", ["charter_request_duration_seconds"]),  # a histogram has no series of its own name
        ('sum by (le, guard) (charter_guard_duration_seconds_bucket{stage="input"})', "{{guard}}", []),
    ],
)
def test_the_search_for_unknown_ones_finds_them(expression: str, told: str, wrong: list[str]) -> None:
    assert unknown(expression, told) == wrong


def test_every_metric_is_on_the_dashboard() -> None:
    shown = " ".join(expression for _, expression, _ in queries())
    assert [spec.name for spec in SPECS if spec.name not in shown] == []


def test_the_dashboard_is_up_to_date_and_well_formed() -> None:
    done = subprocess.run([sys.executable, "tools/make_dashboard.py", "--check"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    page = json.loads(DASHBOARD.read_text(encoding="utf-8"))
    numbers = [panel["id"] for panel in page["panels"]]
    assert len(numbers) == len(set(numbers))
    places = [panel["gridPos"] for panel in page["panels"]]
    assert all(place["x"] + place["w"] <= 24 for place in places)
    cells = [(x, y) for p in places for x in range(p["x"], p["x"] + p["w"]) for y in range(p["y"], p["y"] + p["h"])]
    assert len(cells) == len(set(cells)), "two panels overlap"


@pytest.mark.parametrize("words", [("check", "rules", "charter.rules.yaml"), ("test", "rules", "charter.rules.test.yaml")])
def test_prometheus_reads_the_alerts(words: tuple[str, ...]) -> None:
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.skip("promtool is not installed (Debian: the package prometheus)")
    done = subprocess.run([promtool, *words], cwd=RULES.parent, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
