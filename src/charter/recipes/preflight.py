"""Can the model be trained here? Asked before the first stage, because training comes after all that costs hours."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from charter.core.errors import InputError, ModelError
from charter.core.rows import Example
from charter.data.sources import starter
from charter.models import load_model
from charter.models._device import placement
from charter.models.hf import HfModel
from charter.policy.charter import Charter
from charter.recipes import generation, redteaming, stages
from charter.recipes.context import Context
from charter.store.runs import read_run
from charter.train import _lora
from charter.train._adapters import check_lora


def glance(context: Context) -> None:
    """What can be seen without loading weights and without asking anybody, also by ``--dry-run``: whether the charter loads and names goals, the
    files of rows are there, tags have rows, and every model is one. Raises as ``preflight`` does, which begins with it."""
    recipe = context.recipe
    context.charter.hash  # noqa: B018 - a mistake in the charter is told before anything is said of the model
    stages.check_weights(recipe)
    generation.gather(context, ())
    redteaming.goals_of(context)
    context.evaluation_examples  # noqa: B018 - reads the file
    context.model  # noqa: B018 - built, and not loaded before its first question
    for key, shipped in (("feedback", "writer"), ("pair_judge", "rules")):
        spec = getattr(recipe.generate, key)
        if spec not in (shipped, "self"):
            try:
                load_model(spec)
            except InputError as error:
                raise InputError(f"generate.{key}: {shipped}, self, or a model: {error.message}", error.hint) from None


def practised(charter: Charter) -> tuple[list[str], list[str]]:
    """Hazards of the charter with shipped requests to train on, and those without, in the charter's order."""
    rows: list[Example] = starter.build(starter.Config(parts=("harmful",)))
    there = {row.hazard for row in rows}
    return [h.id for h in charter.hazards if h.id in there], [h.id for h in charter.hazards if h.id not in there]


def preflight(context: Context, methods: Sequence[str]) -> None:
    """Raise what later stages would: InputError for weights on tags that there are none of and for a charter that names none of the goals, DataError
    for goals that cannot be read; of the trainers of ``methods`` ModelError for a model that is no folder of weights or hub id, MissingPartError,
    TrainError for settings of LoRA or a chat template that do not fit, or for several GPUs. Writes nothing, loads no weights."""
    run = read_run(context.out)
    if run is not None and run.status == "done":
        return
    glance(context)
    where = stages.local_weights(context)
    if Path(where).is_file():
        raise ModelError(f"{where}: a GGUF file can be run but not trained", "give --model the folder of safetensors weights that it was made from")
    _lora.require()
    _lora.one_device(placement().device)
    network = _lora.skeleton(where)
    for method in methods:
        check_lora(getattr(context.recipe.train, method).lora, network, method)
    if isinstance(context.model, HfModel):
        _lora.check_template(context.model.tokenizer)
