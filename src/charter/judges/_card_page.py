"""A judge card as a page that people read: Markdown, one table for what was measured, one for each set's hazards."""

from __future__ import annotations

from charter.core.rows import Metric
from charter.core.stats import wilson
from charter.judges._cards import Card, CardRow, Share, Steps

MAIN = ("accuracy", "precision", "recall", "specificity", "f1", "kappa", "auc", "auprc", "ece", "recall_at_1_fpr", "recall_at_5_fpr",
        "three_way_accuracy", "three_way_macro_f1", "macro_f1")  # fmt: skip
TITLES = {"kappa": "Cohen's kappa", "auc": "AUC", "auprc": "AUPRC", "ece": "ECE (15 bins)", "f1": "F1",
          "recall_at_1_fpr": "recall at 1 % false alarms", "recall_at_5_fpr": "recall at 5 % false alarms"}  # fmt: skip


def card_page(card: Card) -> str:
    """The whole card. Numbers carry their 95 % intervals."""
    lines = [f"# Judge card: {_cell(card.judge)}", "", f"Version `{card.version}`, measured {card.made}.", ""]
    if card.latency is not None:
        t = card.latency
        lines += [f"One question alone: median {t.p50_ms:g} ms, 95 % within {t.p95_ms:g} ms ({t.n} questions, {t.machine}).", ""]
    if card.selftest is not None:
        lines += [f"Self-test: {'passed' if card.selftest.passed else 'NOT passed'} ({card.selftest.summary or 'nothing to ask'}).", ""]
    lines += [
        "A failed verdict is in no figure; it is counted. Where a verdict is unsure its score decides, and no score counts as no. Intervals are",
        "95 %; those by hazard are over rows (Wilson). A set that was used in development says so: its figures flatter.",
        "",
    ]
    for row in card.rows:
        lines += _row(row)
    return "\n".join(lines).rstrip() + "\n"


def _row(row: CardRow) -> list[str]:
    about = [
        f"Head: {row.task}. Read as: {row.decision}. Labelled by {row.labelled_by}.",
        f"Rows: {row.n} judged ({row.n_positive} positive), {row.n_failed} failed, {row.n_unsure} unsure"
        + (f"; left out: {', '.join(f'{n} {_cell(why)}' for why, n in row.dropped.items())}" if row.dropped else "")
        + (f"; {row.part}" if row.part else "")
        + ".",
        *([_steps(row.steps)] if row.steps is not None else []),
        *([_beyond_ties(row)] if row.task == "preference" else []),
        f"Used in development: {row.development or 'no'}." + (f" {row.note[0].upper()}{row.note[1:]}." if row.note else ""),
        f"Data: {row.revision or 'no version'}, {row.licence or 'licence not stated'}, sha256 `{row.sha256}`.",
    ]
    shown = [(name, row.figures[name]) for name in MAIN if name in row.figures and row.figures[name].value is not None]
    shown += [(name, metric) for name, metric in row.figures.items() if name.startswith("f1/") and metric.value is not None]
    table = ["| figure | value | 95 % interval | n |", "|---|---|---|---|"]
    table += [f"| {TITLES.get(name, name.replace('_', ' '))} | {m.value:.3f} | {_interval(m)} | {m.n} |" for name, m in shown]
    return [f"## {_cell(row.title)} (`{row.judge_set}`)", "", *(f"{line}  " for line in about), "", *table, "", *_groups(row)]


def _beyond_ties(row: CardRow) -> str:
    """Of what is labelled by it: pairs that it calls a tie are dropped."""
    right, n = row.decided.tp + row.decided.tn, row.decided.n
    if not n:
        return "It calls every pair a tie."
    low, high = wilson(right, n)
    return f"Of {n} pairs that it calls no tie, the better reply in {right / n:.3f} ({low:.3f} to {high:.3f})."


def _groups(row: CardRow) -> list[str]:
    if row.task == "hazard" or not row.groups:
        return []
    lines = ["| by | n | failed | recall | 95 % | specificity | 95 % |", "|---|---|---|---|---|---|---|"]
    for name, g in row.groups.items():
        lines.append(f"| {_cell(name)} | {g.n} | {g.n_failed} | {_share(g.recall)} | {_share(g.specificity)} |")
    return [*lines, ""]


def _interval(metric: Metric) -> str:
    return "none" if metric.low is None or metric.high is None else f"{metric.low:.3f} to {metric.high:.3f}"


def _share(share: Share | None) -> str:
    return " | " if share is None else f"{share.value:.2f} | {share.low:.2f} to {share.high:.2f}"


def _steps(steps: Steps) -> str:
    asked = [sum(steps.decided[number:]) for number in range(len(steps.decided))]
    on = "" if not asked[0] else f"; the first step handed on {asked[0] - steps.decided[0]} of {asked[0]}"
    return f"Asked by step: {', '.join(map(str, asked))}{on}."


def _cell(text: str) -> str:
    return "".join(c if c.isprintable() else " " for c in text).replace("|", "\\|").replace("<", "&lt;")
