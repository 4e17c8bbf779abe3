"""What every stage of a recipe needs, loaded once and only when asked for."""

from __future__ import annotations

import gc
from functools import cached_property
from pathlib import Path
from typing import Any

from charter.core.progress import Reporter
from charter.core.rows import Example, content_id
from charter.core.shapes import Judge, Model
from charter.data.prompts import read_prompts
from charter.data.sources import starter
from charter.generate.gates import Judges
from charter.models import load_model
from charter.models._identity import identity
from charter.policy.charter import Charter
from charter.policy.load import load_charter
from charter.recipes.config import Recipe
from charter.recipes.judging import trusted_judge
from charter.store.runs import RunFolder


class Context:
    """One run: its recipe, its folder, and lazily its charter, judges, model and examples."""

    def __init__(self, recipe: Recipe, out: Path, reporter: Reporter) -> None:
        self.recipe = recipe
        self.out = out
        self.reporter = reporter
        self._model: Model | None = None

    @cached_property
    def charter(self) -> Charter:
        return load_charter(self.recipe.charter)

    @cached_property
    def judges(self) -> dict[str, Judge]:
        return {name: build_judge(name) for name in ("refusal", "harm")}

    @property
    def gates(self) -> Judges:
        return Judges(self.judges["refusal"], self.judges["harm"])

    @property
    def model(self) -> Model:
        """The model to align. Kept until ``drop_model``, so that training has the memory for itself."""
        if self._model is None:
            self._model = load_model(self.recipe.model)
        return self._model

    @property
    def identity(self) -> str:
        """What names the model to align in run folders; looked at every time, for weights may change under a run."""
        return identity(self.recipe.model)

    def identity_of(self, name: str) -> str:
        """``identity`` of a helper that the recipe names: ``self`` is the model to align."""
        return self.identity if name == "self" else identity(name)

    def drop_model(self) -> None:
        self._model = None
        gc.collect()

    def folder(self, name: str, stage: str, config: dict[str, Any], inputs: dict[str, str] | None = None) -> RunFolder:
        """A stage's run folder; opening it refuses rows of another recipe."""
        return RunFolder(self.out / name, stage, config, seed=self.recipe.seed, inputs=inputs)

    def examples(
        self,
        split: str,
        *,
        pairs: int | None = None,
        lookalikes: int | None = None,
        practice: int | None = None,
        plain: int | None = None,
        parts: tuple[str, ...] | None = None,
        first: tuple[str, ...] = (),
    ) -> list[Example]:
        """Starter rows of one side of the split; the pairs ``first`` are taken before others."""
        limits = {"limit": pairs, "lookalike_limit": lookalikes, "practice_limit": practice, "plain_limit": plain}
        options: dict[str, Any] = {"split": split, "seed": self.recipe.seed, "first": first, **limits}
        if parts:
            options["parts"] = parts
        return starter.build(starter.Config(**options))

    @cached_property
    def evaluation_dropped(self) -> dict[str, int]:
        """How many rows of ``evaluation.data`` are not asked, by reason."""
        data = self.recipe.evaluation.data
        return read_prompts(data).dropped if data is not None else {}

    @cached_property
    def evaluation_examples(self) -> list[Example]:
        part = self.recipe.evaluation
        if part.data is not None:
            return read_prompts(part.data).examples
        found = self.examples("evaluation", pairs=part.pairs, lookalikes=part.lookalikes, plain=part.plain)
        if part.twins is None:
            return found
        twins = {e.key for e in self.examples("evaluation", pairs=part.twins, parts=("twin",))} if part.twins else set()
        return [e for e in found if "twin" not in e.tags or e.key in twins]


def build_judge(spec: Any) -> Judge:
    """The judge that ``spec`` names (``charter.judges._spec``); one that asks a model must pass its self-test before a run trusts it."""
    return trusted_judge(spec)


def hash_of(rows: list[Example]) -> str:
    return content_id([row.id for row in rows])
