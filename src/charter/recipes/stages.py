"""The stages of ``charter align`` in order; each is one run folder, finished work is read back instead of done again."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from charter.core.errors import InputError
from charter.core.registry import find
from charter.core.rows import TRUNCATED, Example, Preference, Run, content_id
from charter.core.shapes import Model
from charter.data.sources import starter
from charter.evaluate.evaluation import Evaluation, load_evaluation
from charter.evaluate.runner import evaluate
from charter.models._device import placement
from charter.models._identity import weights_hash as weights_hash
from charter.models._written import lasting
from charter.models.hf import HfModel
from charter.recipes import redteaming
from charter.recipes.config import Recipe
from charter.recipes.context import Context, hash_of
from charter.store.runs import RunFolder, read_run

BASELINE, AFTER = "1-baseline", "7-evaluate"
#: What a row is, as it stands among its tags.
KINDS = ("harmful", "twin", "lookalike", "practice", "plain", "exemplar", "finding", TRUNCATED)
ALL_PARTS = starter.Config(parts=("harmful", "twin", "lookalike", "practice", "plain", "exemplars"))


def measure(context: Context, name: str, model: Model | None, identity: str) -> Evaluation:
    """Stages 1 and 7: ask, judge, count. ``model`` None means the one to align; ``identity`` names it in the folder."""
    examples = context.evaluation_examples
    sampling = context.recipe.greedy(context.recipe.evaluation.max_tokens)
    judges = {judge.name: judge.version for judge in context.judges.values()}
    config = {"model": identity, "sampling": sampling.model_dump(mode="json"), "judges": judges}
    with context.folder(name, "evaluate", config, {"examples": hash_of(examples)}) as folder:
        if folder.finished:
            return load_evaluation(folder.path)
        dropped = context.evaluation_dropped
        return evaluate(model or context.model, examples, context.judges, folder, sampling, context.reporter, dropped=dropped)


def train(context: Context, examples: list[Example], preferences: list[Preference]) -> Path:
    """Stages 5 and 6: the methods of the recipe, each from the checkpoint of the one before. Returns the folder of the last checkpoint."""
    start: Path | str = local_weights(context)
    for number, method in enumerate(context.recipe.train.methods, 5):
        start = train_one(context, f"{number}-train-{method}", method, start, examples if method == "sft" else preferences)
    return Path(start)


def train_one(context: Context, name: str, method: str, start: Path | str, rows: list[Example] | list[Preference]) -> Path:
    settings = getattr(context.recipe.train, method)
    if "seed" not in settings.model_fields_set:
        settings = settings.model_copy(update={"seed": context.recipe.seed})
    place = placement()
    first = weights_hash(Path(start)) if Path(start).exists() else str(start)
    config = {"method": method, "settings": settings.model_dump(mode="json"), "model": context.identity, "start": first, "dtype": place.dtype}
    with context.folder(name, f"train {method}", config, {"rows": content_id([row.id for row in rows])}) as folder:
        checkpoint = folder.path / "checkpoint"
        if folder.finished:
            return checkpoint
        folder.clear_unfinished("checkpoint.tmp", "checkpoint")
        context.drop_model()
        trainer = find("trainers", method).build(settings)
        done = trainer(start, rows, folder.path, dtype=place.dtype, device=place.device, reporter=context.reporter)
        outputs = {"checkpoint": weights_hash(checkpoint), "steps": str(done.steps), "last_loss": f"{done.losses[-1]:.4f}" if done.losses else ""}
        folder.finish(rows_in=len(rows), rows_out=done.rows, dropped=done.dropped, outputs=outputs)
        folder.clear_unfinished("steps")
        return checkpoint


def local_weights(context: Context) -> Path | str:
    """What the trainers load: the folder or hub id of the model. Raises ModelError for a model that is only reachable by URL."""
    from charter.core.errors import ModelError

    model = context.model
    if not isinstance(model, HfModel):
        raise ModelError(f"{model.spec}: only local models can be trained", "give --model a folder, a hub id or 'embedded'")
    return model.weights()


def aligned_model(checkpoint: Path) -> HfModel:
    """The trained model, named by the hash of its weights and not by where it lies, so that its rows are the same anywhere."""
    return HfModel(checkpoint, spec=f"checkpoint:{weights_hash(checkpoint)}")


def finished_seconds(folder: Path) -> float:
    run = read_run(folder)
    return run.seconds if run else 0.0


def open_root(context: Context) -> RunFolder:
    """The run's own folder, which refuses another recipe, another model under the same name, and other rows in ``evaluation.data`` or
    ``redteam.data``."""
    check_weights(context.recipe)
    config = {"recipe": _said(context.recipe), "charter": context.charter.hash, "model": context.identity}
    inputs = {"evaluation": hash_of(context.evaluation_examples)} if context.recipe.evaluation.data is not None else {}
    if context.recipe.redteam.data is not None:
        inputs["redteam"] = hash_of(redteaming.goals_of(context).examples)
    found = read_run(context.out)
    if found is not None and _is_same(found, context.recipe):
        config["recipe"] = found.config["recipe"]
        if found.status == "done" and "model" not in found.config and found.config.get("charter") == context.charter.hash:
            config, inputs = found.config, found.inputs  # finished by a Charter whose run folders did not name weights: it is taken at its word
    return RunFolder(context.out, "align", config, seed=context.recipe.seed, inputs=inputs)


def _said(recipe: Recipe) -> dict[str, Any]:
    """The recipe as it names a run: how many failures are let pass changes no row, nor do waits, budgets and keys of models."""
    said = recipe.model_dump(mode="json", exclude={"redteam": {"max_failed"}, "generate": {"max_failed"}})
    models = {name: lasting(said["generate"][name]) for name in ("feedback", "pair_judge")}
    return {**said, "model": lasting(recipe.model), "generate": {**said["generate"], **models}}


def _is_same(found: Run, recipe: Recipe) -> bool:
    """Whether a run is of this recipe, maybe in the words of a Charter that had fewer keys."""
    try:
        return _said(Recipe.model_validate(found.config["recipe"])) == _said(recipe)
    except (KeyError, ValueError):
        return False


def check_weights(recipe: Recipe) -> None:
    """Raise InputError for a weight on a tag that no row can have: it would change nothing."""
    unknown = [tag for tag in recipe.train.sft.weights if tag not in KINDS and not tag.startswith(("principle:", "by:"))]
    if unknown and (missing := sorted(set(unknown) - {tag for row in starter.build(ALL_PARTS) for tag in row.tags})):
        raise InputError(
            f"train.sft.weights: no row has the tag {missing[0]!r}; tags: {', '.join(KINDS)}; or topic:, kind:, style:, principle:, by:",
            "train.sft.weights='{plain: 2}'",
        )
