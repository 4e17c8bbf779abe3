"""Can the model be trained here? Asked before the first stage, because training comes after all that costs hours."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from charter.core.errors import ModelError
from charter.models._device import placement
from charter.models.hf import HfModel
from charter.recipes import generation, redteaming, stages
from charter.recipes.context import Context
from charter.store.runs import read_run
from charter.train import _lora
from charter.train._adapters import check_lora


def preflight(context: Context, methods: Sequence[str]) -> None:
    """Raise what later stages would: InputError for weights on tags that there are none of and for a charter that names none of the goals, DataError
    for goals that cannot be read; of the trainers of ``methods`` ModelError for a model that is no folder of weights or hub id, MissingPartError,
    TrainError for settings of LoRA or a chat template that do not fit, or for several GPUs. Writes nothing, loads no weights."""
    run = read_run(context.out)
    if run is not None and run.status == "done":
        return
    context.charter.hash  # noqa: B018 - a mistake in the charter is told before anything is said of the model
    stages.check_weights(context.recipe)
    generation.gather(context, ())
    redteaming.goals_of(context)
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
