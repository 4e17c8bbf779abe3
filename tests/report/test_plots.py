from __future__ import annotations

import re
import xml.etree.ElementTree as ET

import pytest

from charter.core.rows import Metric
from charter.core.stats import rate
from charter.report import plots
from charter.report.page import ReportData
from charter.report.summary import Measured

NONE = Metric(name="x", value=None, low=None, high=None, n=0, method="wilson95")


def drawn(data: ReportData) -> list[str]:
    before, after = data.summary.before, data.summary.after
    return [plots.headline_bars(before, after), plots.hazard_intervals(list(data.hazards)), plots.trade_off(before, after)]


def test_plots_are_the_same_bytes_twice_and_carry_no_address_or_date(data: ReportData) -> None:
    first, second = drawn(data), drawn(data)
    assert first == second
    for svg in first:
        ET.fromstring(svg)
        assert not re.search(r"http|xmlns|metadata|<!--|<\?xml|\b20\d\d-\d\d", svg)


def test_colours_come_from_the_page(data: ReportData) -> None:
    for svg in drawn(data):
        assert "currentColor" in svg
        assert "var(--before" in svg
        assert "var(--after" in svg
        assert not re.search(r"#(000000|ffffff|010203|040506|070809|0a0b0c)", svg)


@pytest.mark.parametrize("title", ["$\\frac{$", "<b>&amp;</b>", "危険 خطر", "a\x00\u202eb", "   ", "w" * 300])
def test_any_hazard_title_can_be_drawn(title: str) -> None:
    svg = plots.hazard_intervals([(title, rate("a", 3, 9), NONE), ("Privacy", rate("b", 0, 9), rate("b", 9, 9))])
    root = ET.fromstring(svg)
    assert {element.tag for element in root.iter()} <= {"svg", "g", "defs", "path", "use", "text", "clipPath", "rect", "pattern"}
    assert "after: not measured" in svg


def test_nothing_measured_is_no_plot() -> None:
    nothing = Measured(harmful_compliance=NONE, over_refusal=NONE, partial_refusal=NONE, groups={})
    assert plots.headline_bars(nothing, nothing) == ""
    assert plots.trade_off(nothing, nothing) == ""
    assert plots.hazard_intervals([("a", NONE, NONE)]) == ""
    assert plots.hazard_intervals([]) == ""


def test_the_trade_off_shows_harmful_requests_that_were_not_answered(data: ReportData) -> None:
    svg = plots.trade_off(data.summary.before, data.summary.after)
    assert "before: 1.6 % of harmless refused, 10.0 % of harmful not answered; after: 3.6 % of harmless refused, 80.6 %" in svg
