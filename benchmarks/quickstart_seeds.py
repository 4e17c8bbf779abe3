"""How far the quickstart's result moves with the seed of its training: the rows of a finished run, trained on again, measured, and gated.

Run: .venv/bin/python benchmarks/quickstart_seeds.py runs/demo [--seeds 1 2 3] [--set KEY=VALUE ...]

Prints one line a seed: harmful requests answered, look-alikes and plain requests refused, and the gate's words on over-refusal. Measures on every
held-out row of the starter set and, as the gate does, on those of the run. What is finished is not done again. About 5 minutes a seed with bf16.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import sys
from collections import Counter
from pathlib import Path

from charter.core.config import apply_overrides
from charter.core.progress import SILENT
from charter.core.registry import find
from charter.core.rows import Example
from charter.evaluate.compare import compare
from charter.evaluate.evaluation import Evaluation, load_evaluation
from charter.evaluate.gate import gate
from charter.evaluate.matrix import metrics
from charter.evaluate.runner import evaluate
from charter.models import load_model
from charter.models._device import placement
from charter.recipes import stages
from charter.recipes.config import Recipe
from charter.recipes.context import Context
from charter.recipes.generation import CRITIQUE
from charter.store.rowlog import RowLog
from charter.store.runs import RunFolder, read_run


def trained(context: Context, rows: list[Example], seed: int, dtype: str, out: Path) -> Path:
    """The checkpoint of one seed, computed in ``dtype`` or else in the processor's own number format."""
    if not (out / "checkpoint").exists():
        settings = context.recipe.train.sft.model_copy(update={"seed": seed})
        start, place = stages.local_weights(context), placement()
        context.drop_model()
        out.mkdir(parents=True, exist_ok=True)
        find("trainers", "sft").build(settings)(start, rows, out, dtype=dtype or place.dtype, device=place.device, reporter=SILENT)
    return out / "checkpoint"


def measured(context: Context, spec: str, examples: list[Example], out: Path) -> Evaluation:
    sampling = context.recipe.greedy(context.recipe.evaluation.max_tokens)
    with RunFolder(out, "evaluate", {"model": spec}, seed=context.recipe.seed) as folder:
        if folder.finished:
            return load_evaluation(out)
        model = context.model if spec == context.recipe.model else load_model(spec)
        return evaluate(model, examples, context.judges, folder, sampling, SILENT)


def of(evaluation: Evaluation, keys: set[str]) -> Evaluation:
    kept = tuple(e for e in evaluation.examples if e.key in keys)
    return dataclasses.replace(evaluation, examples=kept, labels={e.key: evaluation.labels[e.key] for e in kept})


def said(name: str, before: Evaluation, after: Evaluation, context: Context) -> str:
    wrong, total = Counter[str](), Counter[str]()
    for example in after.examples:
        kind = "harmful" if example.harmful else "look-alikes" if "lookalike" in example.tags else "plain"
        total[kind] += 1
        wrong[kind] += after.labels[example.key] == ("none" if example.harmful else "full")
    shares = ", ".join(f"{kind} {wrong[kind] / n:.3f} of {n}" for kind, n in total.items())
    result = gate(metrics(before), metrics(after), compare(before, after), context.recipe.gate)
    over = next(check for check in result.checks if check.name == "over_refusal")
    return f"{name}: {shares}; {'passes' if over.passed else 'FAILS'}: {over.reason}\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("run", type=Path)
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    parser.add_argument("--set", nargs="*", default=[], metavar="KEY=VALUE", help="changes of the run's recipe, such as train.sft.learning_rate=1e-3")
    parser.add_argument("--dtype", choices=("float32", "bfloat16"), default="", help="train in this format: what another processor would round like")
    given = parser.parse_args()
    run = read_run(given.run)
    if run is None:
        parser.error(f"{given.run} holds no run: charter align --out {given.run}")
    recipe = Recipe.model_validate_json(json.dumps(apply_overrides(run.config["recipe"], given.set)))
    out = given.run.with_name(given.run.name + "-seeds")
    context = Context(recipe, out, SILENT)
    rows = RowLog(given.run / CRITIQUE / "examples.jsonl", Example).rows()
    gated = {e.key for e in context.evaluation_examples}
    everything = context.examples("evaluation", parts=("harmful", "lookalike", "plain"))
    before = measured(context, recipe.model, everything, out / "before")
    for seed in given.seeds:
        folder = out / "-".join([f"seed{seed}", *filter(None, [given.dtype]), *sorted(each.replace("/", "_") for each in given.set)])
        checkpoint = trained(context, rows, seed, given.dtype, folder)
        after = measured(context, f"hf:{checkpoint}", everything, folder / "evaluation")
        for name, keys in (("the run's", gated), ("all", {e.key for e in everything})):
            sys.stdout.write(said(f"seed {seed}, {name}", of(before, keys), of(after, keys), context))
        sys.stdout.flush()
    sys.stdout.write(json.dumps({"rows": len(rows), "settings": recipe.train.sft.model_dump(mode="json")}) + "\n")


if __name__ == "__main__":
    main()
