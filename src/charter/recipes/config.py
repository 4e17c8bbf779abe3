"""The recipe: everything ``charter align`` does, in one strict YAML file. Field descriptions are the documentation (docs/recipes.md)."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from pydantic import Field, field_validator, model_validator

from charter.core.config import Config, Document, Problem, SpecText, apply_overrides, check, read_yaml
from charter.core.errors import InputError
from charter.core.rows import Sampling
from charter.core.trust import MAX_FAILED
from charter.evaluate.gate import GatePolicy
from charter.evaluate.style import StyleBars
from charter.judges.pairwise import Config as PairConfig
from charter.recipes.attacks import Entry, Named, name_of
from charter.train.trainers.dpo import Config as DpoConfig
from charter.train.trainers.sft import Config as SftConfig

SHIPPED = Path(__file__).parent / "texts"
DEFAULT = "quickstart"


class EvaluationPart(Config):
    """What the model is measured on, before and after; never trained on."""

    pairs: int | None = Field(default=None, ge=1, description="held-out harmful requests; all if left out")
    lookalikes: int | None = Field(default=None, ge=0, description="held-out look-alikes; all if left out")
    twins: int | None = Field(
        default=None, ge=0, description="held-out harmless twins, the stress test beside the headline; as many as pairs if left out"
    )
    plain: int | None = Field(default=None, ge=0, description="held-out plain requests; all if left out")
    data: Path | None = Field(default=None, description="your own test set (JSONL) instead of the starter set's held-out topics")
    max_tokens: int = Field(default=32, ge=1)


class RedteamPart(Config):
    """The campaign: every attack on every goal. What succeeds is a finding. Up to generate.findings of those whose goal is a training row become
    rows too, except direct requests, whose goals are rows already; what does not is counted."""

    goals: int = Field(default=10, ge=1, description="harmful requests to attack with, spread over the hazards that the charter names")
    split: Literal["train", "evaluation"] = Field(
        default="train",
        description="topics of the goals: train; or evaluation, the held-out ones, for a model that was trained: what is found is never trained on",
    )
    data: Path | None = Field(default=None, description="your own goals instead (JSONL as evaluation.data): all its harmful rows; never trained on")
    attacks: tuple[Entry, ...] = Field(
        default=("direct", "jailbreak", "authority", "injection"), description="by name, or with settings: {jailbreak: {per_goal: 4}}"
    )
    max_tokens: int = Field(default=32, ge=1)
    max_failed: float = Field(
        default=MAX_FAILED, ge=0.0, le=1.0, description="share of attempts without a reply or a verdict above which nothing is made of the campaign"
    )

    @field_validator("attacks")
    @classmethod
    def _each_once(cls, value: tuple[Named, ...]) -> tuple[Named, ...]:
        names = [name_of(entry) for entry in value]
        if not names:
            raise ValueError("names no attack; charter list attacks")
        doubled = next((name for name in names if names.count(name) > 1), None)
        if doubled is not None:
            raise ValueError(f"names {doubled} twice")
        return value


class GeneratePart(Config):
    """From goals and findings to training rows."""

    pairs: int = Field(default=320, ge=1, description="training pairs of harmful request and harmless twin")
    lookalikes: int = Field(default=240, ge=0, description="look-alikes that keep the model's own answer")
    practice: int = Field(default=0, ge=0, description="as many more, of those that are only ever trained on: no evaluation has any of their topics")
    plain: int = Field(default=60, ge=0, description="plain requests that keep the model's own answer")
    findings: int = Field(default=16, ge=0, description="findings turned into rows, each with the same framing around a harmless request")
    exemplars: bool = Field(default=True, description="add the exemplar answers")
    rounds: int = Field(default=2, ge=1, description="rounds of critique and revision")
    feedback: SpecText = Field(default="writer", description="who criticises and revises: writer, self, or the spec of another model")
    self_sample: int = Field(default=12, ge=0, description="goals on which the model also criticises and revises itself, to show how well it can")
    answer_tokens: int = Field(default=16, ge=1, description="tokens of the model's own answers kept for harmless rows")
    reply_tokens: int = Field(default=24, ge=1, description="tokens of the model's own replies to harmful goals")
    feedback_tokens: int = Field(default=48, ge=1)
    max_failed: float = Field(
        default=MAX_FAILED, ge=0.0, le=1.0, description="share of replies, critiques or answers that may be errors; above it no rows are made"
    )
    pair_judge: SpecText = Field(
        default="rules", description="who labels preferences: rules (the shipped judges), or a model that passes the self-test: self, or a spec"
    )
    pair_reasoning: bool = Field(default=False, description="the model gives reasons first; its probability is then kept within 0.4 and 0.6")
    preference_pairs: int = Field(default=120, ge=0, description="pairs to label, half in each direction; 0 for none")
    tie_band: float = Field(default=0.1, ge=0.0, lt=0.5, description="a probability within 0.5 ± this is a tie")

    @model_validator(mode="after")
    def _reasons_are_heard(self) -> GeneratePart:
        if self.pair_reasoning and self.pair_judge == "rules":
            raise ValueError("pair_reasoning needs a pair_judge that is a model: rules give no reasons")
        highest = PairConfig().clamp[1]
        if self.pair_reasoning and self.tie_band >= highest - 0.5 - 1e-9:
            raise ValueError(f"pair_reasoning clamps every probability to {highest} at most, so tie_band must be under {highest - 0.5:.1f}")
        return self


class TrainPart(Config):
    """SFT on the rows, then DPO on the preferences."""

    methods: tuple[Literal["sft", "dpo"], ...] = ("sft",)
    sft: SftConfig = SftConfig()
    dpo: DpoConfig = DpoConfig()


class Recipe(Config):
    """One alignment run."""

    name: str
    model: SpecText = Field(default="embedded", description="as everywhere; with settings: openai: {model: NAME@URL, timeout_s: 300}")
    charter: str = "default"
    seed: int = 0
    evaluation: EvaluationPart = EvaluationPart()
    redteam: RedteamPart = RedteamPart()
    generate: GeneratePart = GeneratePart()
    train: TrainPart = TrainPart()
    gate: GatePolicy = GatePolicy()
    style: StyleBars = StyleBars()

    def greedy(self, max_tokens: int) -> Sampling:
        return Sampling(max_tokens=max_tokens, seed=self.seed)


def load_recipe(name: str | None, overrides: list[str], changes: dict[str, Any]) -> Recipe:
    """A shipped recipe by name, or a YAML file, with ``key=value`` overrides and the command's own options on top. Raises InputError."""
    path = _find(name or DEFAULT)
    document = read_yaml(path)
    data = document.data if isinstance(document.data, dict) else {}
    merged = {**apply_overrides(data, overrides), **{k: v for k, v in changes.items() if v is not None}} if isinstance(document.data, dict) else None
    recipe, problems = check(Recipe, Document(document.name, merged, document.lines, document.problems))
    if recipe is None:
        typed = {text.partition("=")[0]: text for text in overrides} | {
            key: f"--{key} {value}" for key, value in changes.items() if value is not None
        }
        lines = [f"{document.name}: {one}" if one in document.problems else _placed(one, document.name, typed) for one in problems]
        raise InputError("\n".join(lines), "charter align --dry-run  # prints the resolved recipe")
    return recipe


def _placed(problem: Problem, file: str, typed: dict[str, str]) -> str:
    """A mistake in what was typed is told there: the file's line says something else."""
    at = problem.where
    found = [text for key, text in typed.items() if at == key or at.startswith(f"{key}.") or (at and key.startswith(f"{at}."))]
    where = "" if at in typed else f"{at}: "
    return f"on the command line: {', '.join(found)}: {where}{problem.message}" if found else f"{file}: {problem}"


def _find(name: str) -> Path:
    path = Path(name)
    if path.suffix in (".yaml", ".yml") or path.exists():
        return path
    shipped = SHIPPED / f"{name}.yaml"
    if not shipped.exists():
        known = ", ".join(sorted(p.stem for p in SHIPPED.glob("*.yaml")))
        raise InputError(f"no recipe is called {name!r}; shipped: {known}; or give a .yaml file", "charter align quickstart")
    return shipped
