"""The stages of ``charter align`` in order; each is one run folder, finished work is read back instead of done again."""

from __future__ import annotations

from pathlib import Path

from charter.core.errors import InputError
from charter.core.registry import find
from charter.core.rows import Example, Preference, Run, content_id
from charter.core.shapes import Attack, Model
from charter.data.sources import starter
from charter.evaluate.evaluation import Evaluation, load_evaluation
from charter.evaluate.runner import evaluate
from charter.models._device import placement
from charter.models._identity import weights_hash as weights_hash
from charter.models.hf import HfModel
from charter.recipes.config import Recipe
from charter.recipes.context import Context, hash_of
from charter.redteam.campaign import run_campaign
from charter.store.runs import RunFolder, read_run
from charter.train.rows import TRUNCATED

BASELINE, REDTEAM, AFTER = "1-baseline", "2-redteam", "7-evaluate"
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


def redteam(context: Context) -> None:
    """Stage 2: every attack on goals of the training topics, so that evaluation topics stay unseen."""
    part = context.recipe.redteam
    goals = context.examples("train", pairs=part.goals, parts=("harmful",))
    attacks = {name: build_attack(name) for name in part.attacks}
    config = {"model": context.identity, "redteam": part.model_dump(mode="json")}
    with context.folder(REDTEAM, "redteam", config, {"goals": hash_of(goals)}) as folder:
        if not folder.finished:
            run_campaign(
                context.model, goals, attacks, context.judges, folder, context.recipe.greedy(part.max_tokens), context.recipe.seed, context.reporter
            )


def build_attack(name: str) -> Attack:
    module = find("attacks", name)
    attack: Attack = module.build(module.Config())
    return attack


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
    """The run's own folder, which refuses another recipe, another model under the same name, and other rows in ``evaluation.data``."""
    check_weights(context.recipe)
    config = {"recipe": context.recipe.model_dump(mode="json"), "charter": context.charter.hash, "model": context.identity}
    inputs = {"evaluation": hash_of(context.evaluation_examples)} if context.recipe.evaluation.data is not None else {}
    found = read_run(context.out)
    if found is not None and _finished_before(found, context):
        config, inputs = found.config, found.inputs
    return RunFolder(context.out, "align", config, seed=context.recipe.seed, inputs=inputs)


def _finished_before(found: Run, context: Context) -> bool:
    """Whether this very recipe was finished by a Charter whose run folders did not name weights: it is taken at its word."""
    if found.status != "done" or "model" in found.config or found.config.get("charter") != context.charter.hash:
        return False
    try:
        return Recipe.model_validate(found.config["recipe"]).model_dump() == context.recipe.model_dump()
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
