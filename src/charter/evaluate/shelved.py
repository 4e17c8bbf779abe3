"""A benchmark off the shelf, how much of it is asked, and what makes two runs of it the same."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import NamedTuple

from charter.core.rows import content_id
from charter.core.trust import MAX_FAILED as MAX_FAILED
from charter.evaluate.benchmark import Benchmark, DataConfig
from charter.evaluate.plan import Disguise


class Shelved(NamedTuple):
    """A benchmark as taken from the shelf: its name, its version, its settings as they are kept in the run, and itself."""

    name: str
    version: str
    settings: dict[str, object]
    benchmark: Benchmark


@dataclass(frozen=True)
class Options:
    """How much is asked, and how it is put. ``seeds``: whole repetitions with other seeds, the first of which is ``seed``. ``cards``: folders where
    the cards of judges are looked for before the package."""

    limit: int | None = None
    seeds: int = 1
    seed: int = 0
    system: str = ""
    disguise: Disguise | None = None
    max_failed: float = MAX_FAILED
    cards: tuple[Path, ...] = ()


def shelve(name: str, module: ModuleType, config: DataConfig) -> Shelved:
    """The benchmark that ``module`` builds from ``config``. Where the data lies is no setting of the run: what it holds is checked instead."""
    settings = config.model_dump(mode="json", exclude={"path"}, exclude_defaults=True)
    return Shelved(name, str(getattr(module, "VERSION", "1")), settings, module.build(config))


def draws(benchmark: Benchmark, options: Options) -> int:
    """How often each item is asked, over all seeds. Options are weighed once: the second time would say the same."""
    return 1 if benchmark.ask.mode == "score" else options.seeds * benchmark.ask.samples


def folder_config(shelved: Shelved, model: str, options: Options) -> dict[str, object]:
    """What a run folder is for: rows of two of these are never mixed. ``model`` names the model and its weights."""
    ask = shelved.benchmark.ask
    disguise = options.disguise
    return {
        "benchmark": shelved.name,
        "version": shelved.version,
        "settings": shelved.settings,
        "model": model,
        "ask": {"mode": ask.mode, "sampling": ask.sampling.model_dump(mode="json"), "samples": ask.samples, "seed": options.seed},
        "system": content_id(options.system) if options.system else "",
        "attack": f"{disguise.name} {disguise.words}" if disguise else "",
    }
