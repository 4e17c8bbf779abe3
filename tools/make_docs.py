"""Write the pages of docs/ that are made from the code, or check with ``--check`` that they are up to date.

docs/reference/cli.md from the help of every command; docs/recipes.md from the recipe's fields; docs/reference/shelves.md from the plugins;
docs/benchmarks-catalogue.md from the benchmarks; the counts in docs/data-card.md from the starter files; and tables of docs/guard.md
and docs/gateway.md from the models of their keys.
"""

from __future__ import annotations

import argparse
import difflib
import json
import os
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import typer
import yaml
from pydantic import BaseModel
from pydantic.fields import FieldInfo
from typer.testing import CliRunner

from charter.cli import app
from charter.core import registry
from charter.core.config import Config
from charter.core.rows import Example
from charter.data.sources import starter
from charter.guard import policy
from charter.guard.gateway.app import surfaces
from charter.guard.gateway.config import GatewayConfig
from charter.guard.gateway.metrics import SPECS
from charter.recipes.config import DEFAULT, SHIPPED, Recipe

DOCS = Path(__file__).parents[1] / "docs"
WIDTH = 100
MADE = "<!-- Made by tools/make_docs.py from the code; to change it, change the code and run: make docs -->\n"
BEGIN, END = "<!-- counts: made by tools/make_docs.py -->\n", "<!-- end of counts -->\n"


def cli_page() -> str:
    """The help of every command, in plain text of a fixed width."""
    app.rich_markup_mode = None  # boxes are for terminals
    parts = [
        MADE,
        "# The command line\n",
        "Exit codes: 0 done or passed, 3 the gate failed, 1 and 2 errors (2: nothing was run), 130 stopped by hand.\n",
    ]
    for words in commands(typer.main.get_command(app), ()):
        found = CliRunner().invoke(app, [*words, "--help"], terminal_width=WIDTH, prog_name="charter")
        if found.exit_code != 0:
            raise SystemExit(f"charter {' '.join(words)} --help: exit code {found.exit_code}\n{found.output}")
        text = "\n".join(line.rstrip() for line in found.output.strip().splitlines())
        parts.append(f"## {' '.join(('charter', *words))}\n\n```text\n{text}\n```\n")
    return "\n".join(parts)


def commands(command: Any, words: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    yield words
    for name, inner in getattr(command, "commands", {}).items():
        yield from commands(inner, (*words, name))


def recipes_page() -> str:
    """Every key with its default, what the shipped recipe sets, and its description."""
    shipped = yaml.safe_load((SHIPPED / f"{DEFAULT}.yaml").read_text(encoding="utf-8"))
    lines = [
        MADE,
        "# Recipes\n",
        "A recipe is one YAML file that says everything `charter align` does. `charter align --dry-run > recipe.yaml` writes one; or change",
        "single keys on the command line: `charter align quickstart generate.pairs=100 train.methods='[sft, dpo]'`. Keys that do not exist are",
        "refused. `charter align --dry-run` prints the recipe as it would run, and looks at its charter, files and models without asking any.\n",
        "An empty cell in the column *quickstart* means that the shipped recipe leaves the default.\n",
    ]
    for title, model in sections(Recipe, ""):
        lines.append(f"## {f'`{title}`' if title else 'At the top'}\n")
        if title:
            lines.append(f"{summary(model)}\n")
        lines += ["| key | default | quickstart | |", "|---|---|---|---|"]
        for name, field in model.model_fields.items():
            if inner_config(field) is None:
                key = f"{title}.{name}" if title else name
                lines.append(f"| `{key}` | {default(field)} | {given(shipped, key)} | {cell(field.description or '')} |")
        lines.append("")
    return "\n".join(lines)


def sections(model: type[BaseModel], prefix: str) -> Iterator[tuple[str, type[BaseModel]]]:
    yield prefix, model
    for name, field in model.model_fields.items():
        inner = inner_config(field)
        if inner is not None:
            yield from sections(inner, f"{prefix}.{name}" if prefix else name)


def inner_config(field: FieldInfo) -> type[Config] | None:
    kind = field.annotation
    return kind if isinstance(kind, type) and issubclass(kind, Config) else None


def given(data: dict[str, Any], key: str) -> str:
    value: Any = data
    for name in key.split("."):
        if not isinstance(value, dict) or name not in value:
            return ""
        value = value[name]
    return code(value)


def default(field: FieldInfo) -> str:
    if field.is_required():
        return "needed"
    value = field.get_default(call_default_factory=True)
    return code(value.model_dump(mode="json") if isinstance(value, BaseModel) else value)


def code(value: Any) -> str:
    """A value as it is written in YAML; None is an empty one."""
    if value is None:
        return "none"
    plain = json.loads(json.dumps(value, default=str))
    return f"`{cell(json.dumps(plain, ensure_ascii=False) if not isinstance(plain, str) else plain or chr(39) * 2)}`"


def cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


def summary(thing: Any) -> str:
    """First paragraph of a docstring; of None, which newer Pythons describe, nothing."""
    return "" if thing is None else " ".join((thing.__doc__ or "").strip().split("\n\n")[0].split())


def shelves_page() -> str:
    """Every plugin that Charter ships: what it is, what it does not cover, its settings."""
    lines = [MADE, "# Shelves\n", "One file is one plugin, found by its name. `charter list` shows the same, with plugins of other packages.\n"]
    for shelf, package in registry.SHELVES.items():
        lines.append(f"## {shelf}\n")
        built_in = [(name, module) for name in registry.names(shelf) if (module := registry.find(shelf, name)).__name__ == f"{package}.{name}"]
        if not built_in:
            lines.append("Nothing yet.\n")
        for name, module in built_in:
            lines += [f"### {name}\n", f"{cell((module.__doc__ or '').strip().splitlines()[0])}\n", f"Does not cover: {cell(module.NOT_COVERED)}\n"]
            lines += settings(module.Config)
    return "\n".join(lines)


def catalogue_page() -> str:
    """Every benchmark that Charter ships: what it measures and how, who wrote it, whose data it is, and what it does not measure."""
    package = registry.SHELVES["benchmarks"]
    modules = {name: registry.find("benchmarks", name) for name in registry.names("benchmarks")}
    found = [(name, module) for name, module in modules.items() if module.__name__ == f"{package}.{name}"]
    lines = [
        MADE,
        "# The benchmarks\n",
        f"{len(found)} benchmarks. Each is one file of `src/charter/evaluate/benchmarks/`, whose head has the formulas and the traps in full.",
        "Their settings are on [the page of the shelves](reference/shelves.md). See also [how to run them](evaluation.md) and",
        "[how to add one](add-a-benchmark.md). Published data sets are not shipped: Charter finds them, or says where to get them and",
        "under which licence. *Weighs options*: by log-probability, so the model must be local, or a server that tells them.\n",
        "| benchmark | how it asks | default judge | licence of the data |",
        "|---|---|---|---|",
    ]
    for name, module in found:
        lines.append(f"| [{name}](#{name}) | {asked(module)} | {judges(module)} | {licence(module)} |")
    for name, module in found:
        first, *paragraphs = (module.__doc__ or "").strip().split("\n\n")
        lines += [f"\n## {name}\n", f"{cell(first)}\n", f"{cell(paragraphs[0] if paragraphs else '')}\n"]
        lines.append(f"Limits: {cell(module.NOT_COVERED)}")
    return "\n".join(lines) + "\n"


def asked(module: Any) -> str:
    benchmark = module.build(module.Config())
    ask = benchmark.ask
    if getattr(benchmark, "measures", "models") == "judges":
        return "reads a judge's verdicts"
    if ask.mode == "score":
        return "weighs options"
    return "reads replies" if ask.samples == 1 else f"reads {ask.samples} replies an item"


def judges(module: Any) -> str:
    roles = module.build(module.Config()).roles
    return ", ".join(f"`{judge}`" + (f" ({role})" if role != judge else "") for role, judge in roles.items()) or "none needed"


def licence(module: Any) -> str:
    return cell(module.DATA.licence) if hasattr(module, "DATA") else "Apache-2.0, comes with Charter"


def settings(config: type[BaseModel]) -> list[str]:
    rows = [
        (title, name, field) for title, model in sections(config, "") for name, field in model.model_fields.items() if inner_config(field) is None
    ]
    if not rows:
        return ["No settings.\n"]
    table = [f"| `{f'{title}.{name}' if title else name}` | {default(field)} | {cell(field.description or '')} |" for title, name, field in rows]
    return ["| setting | default | |", "|---|---|---|", *table, ""]


def counts() -> str:
    """Rows of the starter set by hazard and by kind, and how the default seed splits them."""
    train, held = starter.build(starter.Config(split="train")), starter.build(starter.Config(split="evaluation"))
    every, exemplars = [*train, *held], starter.build(starter.Config(parts=("exemplars",)))
    practice = starter.build(starter.Config(parts=("practice",)))
    styles = ", ".join(f"{count} {style}" for style, count in tagged(exemplars, "style").items())
    kinds = ", ".join(f"{count} {kind}" for kind, count in tagged(practice, "kind").items())
    lines = [
        f"{len(of(every, 'harmful'))} pairs of a harmful request and its harmless twin; {len(of(every, 'lookalike'))} look-alikes; "
        f"{len(of(every, 'plain'))} plain requests; {len(exemplars)} exemplar answers ({styles}); and {len(practice)} more look-alikes that are only "
        f"ever trained on ({kinds}).\n",
        "With seed 0 and the default share, whole topics are held out like this:\n",
        "| part | training rows | evaluation rows | topics | held-out topics |",
        "|---|---|---|---|---|",
    ]
    for name, part in (("pairs", "harmful"), ("look-alikes", "lookalike"), ("plain requests", "plain")):
        lines.append(f"| {name} | {len(of(train, part))} | {len(of(held, part))} | {topics(of(every, part))} | {topics(of(held, part))} |")
    lines += ["\n| hazard | pairs | topics | held-out pairs | held-out topics | look-alikes |", "|---|---|---|---|---|---|"]
    for hazard in sorted({row.hazard for row in of(every, "harmful")}):
        mine, out = of(every, "harmful", hazard), of(held, "harmful", hazard)
        lines.append(f"| {hazard} | {len(mine)} | {topics(mine)} | {len(out)} | {topics(out)} | {len(of(every, 'lookalike', hazard))} |")
    lines += ["\n| kind | twins | look-alikes |", "|---|---|---|"]
    twins, lookalikes = tagged(of(every, "twin"), "kind"), tagged(of(every, "lookalike"), "kind")
    lines += [f"| {kind} | {twins[kind]} | {lookalikes[kind]} |" for kind in sorted({*twins, *lookalikes})]
    return "\n".join(lines) + "\n"


def of(rows: list[Example], part: str, hazard: str = "") -> list[Example]:
    return [row for row in rows if part in row.tags and hazard in ("", row.hazard)]


def topics(rows: list[Example]) -> int:
    """Topics belong to their hazard: the same word under two hazards is two topics."""
    group = [row.hazard if "harmful" in row.tags else "" for row in rows]
    return len({(where, tag) for where, row in zip(group, rows, strict=True) for tag in row.tags if tag.startswith("topic:")})


def tagged(rows: list[Example], name: str) -> Counter[str]:
    return Counter(tag.partition(":")[2] for row in rows for tag in row.tags if tag.startswith(f"{name}:"))


def between(page: str, name: str, what: str, text: str) -> str:
    """A page with a fresh text between its two marks."""
    marks = BEGIN.replace("counts", what), END.replace("counts", what)
    head, begin, rest = page.partition(marks[0])
    _, end, tail = rest.partition(marks[1])
    if not begin or not end:
        raise SystemExit(f"docs/{name} has lost its lines {marks[0].strip()!r} and {marks[1].strip()!r}; put them back")
    return f"{head}{begin}\n{text}\n{end}{tail}"


def filled(name: str, what: str, text: str) -> str:
    return between((DOCS / name).read_text(encoding="utf-8"), name, what, text)


def guard_keys() -> str:
    parts: list[tuple[str, type[BaseModel]]] = [
        ("At the top", policy.GuardPolicy),
        ("Each of `input` and `output`", policy.RailEntry),
        ("`only_if` of a rail", policy.OnlyIf),
        ("`calibrated` of a rail", policy.Calibration),
        ("Each of `hazards`", policy.HazardRule),
        ("`stream`", policy.StreamPolicy),
        ("`review`", policy.ReviewPolicy),
    ]
    lines: list[str] = []
    for title, model in parts:
        lines += [f"### {title}\n", f"{summary(model)}\n", "| key | default | |", "|---|---|---|"]
        for name, field in model.model_fields.items():
            lines.append(
                f"| `{name}` | {'see below' if inner_config(field) else default(field)} | {cell(field.description or summary(inner_config(field)))} |"
            )
        lines.append("")
    return "\n".join(lines)


def gateway_keys() -> str:
    lines: list[str] = []
    for title, model in sections(GatewayConfig, ""):
        lines += [
            f"### {f'`{title}`' if title else 'At the top'}\n",
            *([f"{summary(model)}\n"] if title else []),
            "| key | default | |",
            "|---|---|---|",
        ]
        for name, field in model.model_fields.items():
            if inner_config(field) is None:
                lines.append(f"| `{name}` | {default(field)} | {cell(field.description or '')} |")
        lines.append("")
    return "\n".join(lines)


def gateway_metrics() -> str:
    rows = [f"| `{spec.name}` | {spec.kind} | {', '.join(spec.labels)} | {cell(spec.help)} |" for spec in SPECS]
    return "\n".join(["| metric | kind | labels | |", "|---|---|---|---|", *rows, ""])


def gateway_surfaces() -> str:
    """Every surface that has a file: its path, and whose dialect it speaks."""
    rows = [f"| `POST {surface.path}` | {surface.dialect} |" for surface in sorted(surfaces(), key=lambda found: found.path)]
    return "\n".join(["| path | dialect |", "|---|---|", *rows, ""])


def gateway_page() -> str:
    """The page with all its tables; each step reads the one before."""
    text = (DOCS / "gateway.md").read_text(encoding="utf-8")
    for what, made in (("surfaces", gateway_surfaces()), ("keys", gateway_keys()), ("metrics", gateway_metrics())):
        text = between(text, "gateway.md", what, made)
    return text


def pages() -> dict[Path, str]:
    return {
        DOCS / "reference" / "cli.md": cli_page(),
        DOCS / "recipes.md": recipes_page(),
        DOCS / "reference" / "shelves.md": shelves_page(),
        DOCS / "benchmarks-catalogue.md": catalogue_page(),
        DOCS / "data-card.md": filled("data-card.md", "counts", counts()),
        DOCS / "guard.md": filled("guard.md", "keys", guard_keys()),
        DOCS / "gateway.md": gateway_page(),
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--check", action="store_true", help="write nothing; exit code 1 if a page is out of date")
    check = parser.parse_args().check
    stale = 0
    for path, text in pages().items():
        old = path.read_text(encoding="utf-8") if path.exists() else ""
        if old == text:
            continue
        stale += 1
        name = os.path.relpath(path)
        if check:
            changes = difflib.unified_diff(old.splitlines(), text.splitlines(), name, "from the code", lineterm="", n=0)
            print("\n".join([f"error: {name} is out of date; run: make docs", *list(changes)[:12]]), file=sys.stderr)
        else:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
            print(f"wrote {name}")
    return 1 if check and stale else 0


if __name__ == "__main__":
    sys.exit(main())
