"""Tables of ``charter guard``. No text of a row is ever shown."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from rich.table import Table
from rich.text import Text

from charter.cli.terminal import _out, share, visible
from charter.core.stats import rate
from charter.guard.calibrate import RailResult, StageResult
from charter.guard.decision import Checked
from charter.guard.migrate import Mapped
from charter.guard.rows import CheckRow

#: Points of a curve that fit on a screen.
SHOWN = 8


def show_calibration(stage: StageResult) -> None:
    """The stage as a whole, then each rail's trade-off around the threshold that was chosen."""
    console = _out()
    console.print(Text(f"{stage.stage}: false alarms {share(stage.false_alarms)}, on rows that chose nothing {share(stage.held_out)}"))
    console.print(Text(f"{stage.stage}: caught {share(stage.caught)}"))
    if stage.warning:
        console.print(Text(f"{stage.stage}: warning: {visible(stage.warning)}"))
    for rail in stage.rails:
        console.print(_curve(rail))
        if rail.note:
            console.print(Text(f"  {visible(rail.note)}"))


def _curve(rail: RailResult) -> Table:
    table = Table("threshold", "false alarms", "caught", title=f"{visible(rail.rail)}: {rail.before:.3f} -> {rail.after:.3f}")
    if rail.chosen is None:
        return table
    points = list(rail.curve[:: max(1, len(rail.curve) // SHOWN)])
    for point in sorted({p.threshold: p for p in [*points, rail.chosen]}.values(), key=lambda p: p.threshold):
        mark = " <" if point.threshold == rail.after else ""
        table.add_row(f"{point.threshold:.4f}{mark}", share(point.false_alarms), share(point.caught))
    return table


def show_migration(mapped: Sequence[Mapped]) -> None:
    """Every scanner of the old file, what it became, and what was lost."""
    table = Table("stage", "scanner", "maps", "to", "note")
    for item in mapped:
        rails = ", ".join(f"{entry.label} ({entry.action})" for entry in item.rails)
        table.add_row(item.stage, visible(item.scanner), item.how, visible(rails), visible(item.note))
    console = _out()
    console.print(table)
    counts = Counter(item.how for item in mapped)
    console.print(Text(f"{counts['yes']} carried over, {counts['partly']} in part, {counts['no']} not"))


def show_checked(results: Sequence[tuple[CheckRow, Checked]], dropped: Mapping[str, int]) -> None:
    """How many rows of each stage got which action, by which rails; with labels, false alarms and what was caught."""
    console = _out()
    for stage in ("input", "output"):
        own = [(row, checked) for row, checked in results if row.stage == stage]
        if not own:
            continue
        table = Table("action", "rows", "by", title=f"{stage}: {len(own)} rows")
        for action, count in Counter(checked.action for _, checked in own).most_common():
            by = Counter(rail for _, checked in own if checked.action == action for rail in checked.by)
            table.add_row(action, str(count), visible(", ".join(f"{rail} {n}" for rail, n in by.most_common(5))))
        console.print(table)
        failed = sum(bool(checked.failed) for _, checked in own)
        if failed:
            console.print(Text(f"a rail failed on {failed} of {len(own)} rows; they are in no share"))
        for what, wanted in (("held back though harmless", False), ("held back and harmful", True)):
            labelled = [(row, checked) for row, checked in own if row.harmful is wanted]
            read = [(row, checked) for row, checked in labelled if not checked.failed]
            if labelled:
                held = sum(not checked.passes and (wanted or not _meant(row, checked)) for row, checked in read)
                console.print(Text(f"{what}: {share(rate(what, held, len(read), len(labelled) - len(read)))}"))
    for reason, count in dropped.items():
        console.print(Text(f"left out: {count} ({visible(reason)})"))


def _meant(row: CheckRow, checked: Checked) -> bool:
    """Whether a row that is harmless as a whole is labelled as one that every rail which held it should hold."""
    return bool(checked.by) and all(row.labels.get(name, False) for name in checked.by)
