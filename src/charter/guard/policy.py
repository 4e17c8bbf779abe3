"""``guard.yaml``: which rails check what, when they act, and what happens when one fails. Strict keys, no language of its own, no environment.

Whatever weakens the guard (letting text pass when a rail fails, a stage without rails, unread media, unchecked streaming, a softer hazard) has no
default, has to be written down here, and shows as ``bypass`` in every check that it touches.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import Field, PrivateAttr, model_validator

from charter.core import registry
from charter.core.config import Config, Document, Problem, check, read_yaml
from charter.core.errors import InputError
from charter.core.rows import content_id

Stage = Literal["input", "output"]
Action = Literal["allow", "flag", "mask", "escalate", "block"]
#: From mildest to strictest. ``escalate`` and ``block`` withhold the text; ``escalate`` also asks a person.
SEVERITY: tuple[Action, ...] = ("allow", "flag", "mask", "escalate", "block")
WITHHOLDS: tuple[Action, ...] = ("escalate", "block")
STAGES: tuple[Stage, ...] = ("input", "output")
Share = Annotated[float, Field(ge=0.0, le=1.0)]
Threshold = Annotated[float, Field(gt=0.0, le=1.0)]
_TEXTS = Path(__file__).parent / "texts"
_HINT = "docs/guard.md explains every key"


class Calibration(Config):
    """How a threshold was chosen; written by ``charter guard calibrate``."""

    data: str = Field(description="sha256 of the labelled rows, first 16 digits")
    max_false_alarms: Share = Field(description="what was asked for")
    false_alarms: tuple[Share, Share, Share] = Field(description="share of harmless rows at or over the threshold: value, low, high (95 %)")
    caught: tuple[Share, Share, Share] | None = Field(description="share of harmful rows at or over the threshold, or null without harmful rows")
    harmless: int = Field(ge=0, description="labelled rows of each kind that the rail could score")
    harmful: int = Field(ge=0)
    failed: int = Field(ge=0, description="rows that the rail could not score")


class HazardRule(Config):
    """What to do about one hazard of the charter, for verdicts that name it."""

    threshold: Threshold | None = Field(default=None, description="instead of the rail's")
    action: Action | None = Field(default=None, description="instead of the rail's")


class OnlyIf(Config):
    """A cascade: run a dear rail only when a cheaper one before it saw something. If the cheaper one failed, the dear one runs."""

    rail: str = Field(description="name of another rail of the same stage")
    at_least: Share = Field(description="its score from which the dear rail runs")


class RailEntry(Config):
    """One rail of one stage."""

    rail: str = Field(description="a file on the shelf: charter list rails")
    name: str = Field(default="", description="how it is called in accounts; needed where one rail stands twice in a stage")
    settings: dict[str, Any] = Field(default={}, description="the rail's own settings")
    threshold: Threshold = Field(default=0.8, description="score from which it acts; rules without doubt score 1")
    action: Action = Field(default="block", description="what it does then: allow (only observe), flag, mask, escalate, block")
    flag_at: Threshold | None = Field(default=None, description="score from which text passes but is flagged")
    on_error: Literal["block", "escalate", "flag", "allow"] = Field(default="block", description="when it fails or is late; flag and allow fail open")
    on_unsure: Literal["block", "escalate", "flag", "allow"] = Field(default="escalate", description="when it is unsure and gives no score")
    timeout_ms: int | None = Field(default=None, ge=1, le=600_000, description="time it has; leave out for the default of its cost")
    shadow: bool = Field(default=False, description="runs and is accounted for, but changes nothing")
    only_if: OnlyIf | None = Field(default=None, description="run only when a cheaper rail saw something")
    calibrated: Calibration | None = Field(default=None, description="how the threshold was chosen")

    @property
    def label(self) -> str:
        return self.name or self.rail

    @model_validator(mode="after")
    def _steps_up(self) -> RailEntry:
        if self.flag_at is not None and self.flag_at >= self.threshold:
            raise ValueError(f"flag_at ({self.flag_at}) must be under threshold ({self.threshold})")
        return self


class StreamPolicy(Config):
    """How a streamed reply is let out. No character leaves before every output rail approved text that reaches ``hold_chars`` past it."""

    mode: Literal["window", "full", "async"] = Field(default="window", description="async shows text before it is checked: it is a bypass")
    masked: Literal["window", "full"] = Field(default="full", description="mode where a rail masks replies; window masks within what is held back")
    hold_chars: int = Field(default=96, ge=1, le=10_000, description="kept back behind what is approved: the longest thing that may be split")
    window_chars: int = Field(default=200, ge=1, description="check again after so many new characters")
    window_ms: int = Field(default=400, ge=1, description="check again after so many milliseconds, if there is new text")
    sentences: bool = Field(default=True, description="also check at the end of a sentence")
    growth: Share = Field(default=0.1, description="new text needed before the next check, as a share of all text: keeps the total cost linear")
    context_chars: int = Field(
        default=2000, ge=100, description="end of the reply that a check reads before the reply is whole (never less than what is not out yet)"
    )
    max_chars: int = Field(default=200_000, ge=1, description="longest reply that is kept; more is blocked")


class ReviewPolicy(Config):
    """Which decisions people see afterwards, besides those that escalate."""

    flagged: bool = Field(default=True, description="everything that was flagged")
    sample: Share = Field(default=0.0, description="share of all other checks, drawn by the content's hash")


class GuardPolicy(Config):
    """The whole of ``guard.yaml``."""

    name: str = Field(default="guard", min_length=1, description="what people call it")
    version: str = Field(default="1", min_length=1, description="yours to count, in quotes")
    charter: str = Field(default="default", description="whose hazards and whose voice: a shipped name, or a file beside this one")
    input: tuple[RailEntry, ...] = Field(default=(), description="rails of the request and everything sent with it")
    output: tuple[RailEntry, ...] = Field(default=(), description="rails of the reply")
    unguarded: tuple[Stage, ...] = Field(default=(), description="stages that have no acting rail on purpose (a bypass)")
    media: Literal["block", "allow"] = Field(default="block", description="parts that no rail reads (image, audio, video); allow is a bypass")
    hazards: dict[str, HazardRule] = Field(default={}, description="by hazard of the charter, for verdicts that name it")
    refusal: str = Field(default="", description="what the person gets instead; leave out for one in the charter's voice")
    deadline_ms: int = Field(default=30_000, ge=1, le=600_000, description="time for one whole check")
    restore: bool = Field(default=True, description="put masked values of a request back into its reply")
    stream: StreamPolicy = StreamPolicy()
    review: ReviewPolicy = ReviewPolicy()
    cache: int = Field(default=4096, ge=0, description="verdicts kept by content; 0 keeps none")
    _folder: Path | None = PrivateAttr(default=None)

    def __eq__(self, other: object) -> bool:
        """Two policies that say the same are the same, wherever their files lie."""
        return isinstance(other, GuardPolicy) and self.model_dump() == other.model_dump()

    def __hash__(self) -> int:
        return hash(self.hash)

    @property
    def folder(self) -> Path | None:
        """Where its file lies, with the files that it names; None if it came from no file."""
        return self._folder

    @property
    def hash(self) -> str:
        return content_id(self.model_dump(mode="json"))

    def rails(self, stage: Stage) -> tuple[RailEntry, ...]:
        return self.input if stage == "input" else self.output

    @model_validator(mode="after")
    def _holds_together(self) -> GuardPolicy:
        for stage in STAGES:
            labels = [entry.label for entry in self.rails(stage)]
            twice = sorted({label for label in labels if labels.count(label) > 1})
            if twice:
                raise ValueError(f"{stage}: two rails are called {twice[0]!r}; give one another name")
            acting = [entry for entry in self.rails(stage) if not entry.shadow and entry.action != "allow"]
            if not acting and stage not in self.unguarded:
                raise ValueError(f"{stage}: without rails that act everything would pass; add one, or write unguarded: [{stage}]")
            for entry in self.rails(stage):
                if entry.only_if is not None and entry.only_if.rail not in labels[: labels.index(entry.label)]:
                    raise ValueError(f"{stage}: {entry.label}: only_if names {entry.only_if.rail!r}, which is no rail before it")
        return self


def holds(policy: GuardPolicy, entries: Sequence[RailEntry]) -> bool:
    """Whether any of these rails can keep a text, or a piece of one, from going on, by itself or by a hazard's rule. Flags alone do not."""
    actions = {entry.action for entry in entries if not entry.shadow}
    ruled = {rule.action for rule in policy.hazards.values() if rule.action is not None} if actions else set()
    return bool({"mask", "block", "escalate"} & (actions | ruled))


def shipped() -> list[str]:
    """Names of the policies that come with the package, sorted."""
    return sorted(path.stem for path in _TEXTS.glob("*.yaml"))


def shipped_text(name: str) -> str:
    """The file of a shipped policy, notes and all."""
    return (_TEXTS / f"{name}.yaml").read_text(encoding="utf-8")


def load_policy(spec: str | Path = "default") -> GuardPolicy:
    """The policy named ``spec``: a shipped name, else the path of a YAML file. Relative paths in it are taken from its folder.

    Raises InputError with one line per mistake (file, line, key); names of rails, hazards and the charter are checked when a Guard is built.
    """
    text = str(spec)
    path = _TEXTS / f"{text}.yaml" if text in shipped() else Path(text).expanduser()
    if not path.exists() and path.suffix not in (".yaml", ".yml"):
        raise InputError(f"no guard policy is called {text!r} (shipped: {', '.join(shipped())})", "charter guard init guard.yaml")
    document = read_yaml(path)
    policy, problems = check(GuardPolicy, document)
    unknown = _unknown_rails(document)
    if policy is None or unknown:
        told = sorted([*problems, *unknown], key=lambda problem: problem.line)
        raise InputError("\n".join(f"{document.name}: {problem}" for problem in told), _HINT if problems else "charter list rails")
    policy._folder = path.absolute().parent
    return policy


def dump_policy(policy: GuardPolicy, notes: Sequence[str] = ()) -> str:
    """The policy as YAML that ``load_policy`` reads back; what is at its default is left out. ``notes`` become comments at the top."""
    data: dict[str, Any] = {"name": policy.name, "version": policy.version, **policy.model_dump(mode="json", exclude_defaults=True)}
    head = "".join(f"# {line}".rstrip() + "\n" for note in notes for line in note.splitlines())
    return head + yaml.safe_dump(data, sort_keys=False, allow_unicode=True, width=120)


def _unknown_rails(document: Document) -> list[Problem]:
    """Rails that do not exist, each with its line, whatever else is wrong: before anything is built."""
    data = document.data if isinstance(document.data, dict) else {}
    found = []
    for stage in STAGES:
        entries = data.get(stage)
        for index, entry in enumerate(entries if isinstance(entries, list) else []):
            name = entry.get("rail") if isinstance(entry, dict) else None
            try:
                registry.find("rails", name) if isinstance(name, str) else None
            except InputError as error:
                found.append(Problem(document.lines.get((stage, index, "rail"), 0), f"{stage}.{index}.rail", error.message))
    return found
