"""Write the Grafana dashboard of the gateway, or check with ``--check`` that it is up to date. Panels are lines of a table below.

Every query names metrics of ``charter.guard.gateway.metrics``; tests/deploy checks that each of them, and each label, is in its registry.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any, NamedTuple

PAGE = Path(__file__).parents[1] / "deploy" / "grafana" / "charter-gateway.json"
SOURCE = {"type": "prometheus", "uid": "${DS_PROMETHEUS}"}
RATE = "[$__rate_interval]"
COLUMNS, HEIGHT = 24, 8


class Panel(NamedTuple):
    """One graph: ``queries`` are (expression, legend)."""

    title: str
    unit: str
    queries: tuple[tuple[str, str], ...]
    about: str
    width: int = 8


def total(metric: str, by: str, where: str = "") -> tuple[str, str]:
    """Rate of a counter, summed by labels."""
    legend = " ".join(f"{{{{{label.strip()}}}}}" for label in by.split(","))
    return f"sum by ({by}) (rate({metric}{{{where}}}{RATE}))", legend


def quantile(share: float, metric: str, by: str = "") -> tuple[str, str]:
    """A quantile of a histogram, by labels."""
    labels = f"le, {by}" if by else "le"
    return f"histogram_quantile({share}, sum by ({labels}) (rate({metric}_bucket{RATE})))", f"p{share * 100:g}" + (f" {{{{{by}}}}}" if by else "")


def share(part: str, whole: str) -> str:
    """One rate as a share of another; nothing where there is no traffic."""
    return f"sum(rate({part}{RATE})) / (sum(rate({whole}{RATE})) > 0)"


ROWS: tuple[tuple[str, tuple[Panel, ...]], ...] = (
    (
        "Traffic",
        (
            Panel("Requests by outcome", "reqps", (total("charter_requests_total", "outcome"),), "How requests end.", 12),
            Panel(
                "Requests in the gateway", "short", (("sum(charter_inflight_requests)", "in flight"),), "Rises without end when something hangs.", 6
            ),
            Panel("Errors sent", "reqps", (total("charter_errors_total", "code"),), "By the code in the body.", 6),
            Panel(
                "Time to first text of streams",
                "s",
                (quantile(0.5, "charter_time_to_first_chunk_seconds"), quantile(0.99, "charter_time_to_first_chunk_seconds")),
                "Model server included.",
            ),
            Panel(
                "Added by the gateway",
                "s",
                (quantile(0.5, "charter_gateway_overhead_seconds"), quantile(0.99, "charter_gateway_overhead_seconds")),
                "Rails, audit and the gateway itself; the model server's time is taken off.",
            ),
            Panel(
                "Whole request",
                "s",
                (quantile(0.5, "charter_request_duration_seconds"), quantile(0.99, "charter_request_duration_seconds")),
                "First byte in to last byte out.",
            ),
        ),
    ),
    (
        "Rails",
        (
            Panel(
                "Withheld share",
                "percentunit",
                ((share('charter_requests_total{outcome=~"blocked|escalated"}', "charter_requests_total"), "withheld"),),
                "Watch it in both directions: a rise is an attack or over-blocking, a fall is a rail that went blind.",
            ),
            Panel("Checks by decision", "ops", (total("charter_guard_checks_total", "stage, action"),), "A stream is checked several times."),
            Panel(
                "Decisions of rails",
                "ops",
                (total("charter_guard_decisions_total", "guard, stage, action", 'action!="allow", mode="enforce"'),),
                "All but allow.",
            ),
            Panel("Shadow rails would have", "ops", (total("charter_guard_decisions_total", "guard, action", 'action!="allow", mode="shadow"'),), ""),
            Panel(
                "By hazard", "ops", (total("charter_guard_decisions_total", "category", 'action!="allow", category!="none"'),), "First hazard named."
            ),
            Panel("Rails that failed or were late", "ops", (total("charter_guard_runs_total", "guard, status", 'status=~"failed|timeout"'),), ""),
            Panel("Time of rails, p99", "s", (quantile(0.99, "charter_guard_duration_seconds", "guard"),), "Cached verdicts left out."),
            Panel(
                "Bypass", "ops", (total("charter_guard_bypass_total", "guard, reason"),), "Text that passed unchecked because the policy says so.", 12
            ),
            Panel("Held back, p99", "s", (quantile(0.99, "charter_stream_holdback_seconds"),), "Longest wait of a piece of a stream.", 12),
        ),
    ),
    (
        "Model and people",
        (
            Panel(
                "Refusals of the model",
                "ops",
                (total("charter_model_refusals_total", "model, kind"),),
                "Needs the rail refusal in the policy's output.",
                12,
            ),
            Panel("Reports", "ops", (total("charter_reports_total", "category"),), "What people sent to /v1/safety/reports.", 12),
        ),
    ),
    (
        "Health",
        (
            Panel(
                "Rows that could not be written",
                "ops",
                (
                    ("sum(rate(charter_audit_write_failures_total[$__rate_interval]))", "audit"),
                    ("sum(rate(charter_review_rows_dropped_total[$__rate_interval]))", "review"),
                ),
                "Audit rows, and rows for people.",
            ),
            Panel(
                "Guard in use",
                "short",
                (("count by (policy, stream_mode, audit) (charter_policy_info)", "{{policy}} {{stream_mode}} {{audit}}"),),
                "Replicas by policy.",
            ),
            Panel("Versions", "short", (("count by (version, python) (charter_build_info)", "{{version}} on {{python}}"),), ""),
        ),
    ),
)


def dashboard() -> dict[str, Any]:
    panels: list[dict[str, Any]] = []
    y = 0
    for title, row in ROWS:
        panels.append({"type": "row", "title": title, "id": len(panels) + 1, "collapsed": False, "panels": [], "gridPos": place(0, y, COLUMNS, 1)})
        x, y = 0, y + 1
        for panel in row:
            if x + panel.width > COLUMNS:
                x, y = 0, y + HEIGHT
            panels.append(drawn(panel, len(panels) + 1, place(x, y, panel.width, HEIGHT)))
            x += panel.width
        y += HEIGHT
    return {
        "uid": "charter-gateway",
        "title": "Charter gateway",
        "tags": ["charter"],
        "schemaVersion": 39,
        "version": 1,
        "refresh": "30s",
        "time": {"from": "now-6h", "to": "now"},
        "templating": {"list": [{"name": "DS_PROMETHEUS", "label": "Prometheus", "type": "datasource", "query": "prometheus"}]},
        "panels": panels,
    }


def drawn(panel: Panel, number: int, where: dict[str, int]) -> dict[str, Any]:
    return {
        "type": "timeseries",
        "id": number,
        "title": panel.title,
        "description": panel.about,
        "datasource": SOURCE,
        "gridPos": where,
        "fieldConfig": {"defaults": {"unit": panel.unit, "min": 0, "custom": {"fillOpacity": 8, "showPoints": "never"}}, "overrides": []},
        "options": {"legend": {"displayMode": "list", "placement": "bottom"}, "tooltip": {"mode": "multi", "sort": "desc"}},
        "targets": [
            {"refId": chr(ord("A") + n), "datasource": SOURCE, "expr": expression, "legendFormat": legend}
            for n, (expression, legend) in enumerate(panel.queries)
        ],
    }


def place(x: int, y: int, width: int, height: int) -> dict[str, int]:
    return {"x": x, "y": y, "w": width, "h": height}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--check", action="store_true")
    text = json.dumps(dashboard(), indent=1) + "\n"
    if parser.parse_args().check:
        if not PAGE.exists() or PAGE.read_text(encoding="utf-8") != text:
            raise SystemExit(f"error: {PAGE} is out of date; run: python tools/make_dashboard.py")
        return
    PAGE.write_text(text, encoding="utf-8")
    sys.stdout.write(f"wrote {PAGE}\n")


if __name__ == "__main__":
    main()
