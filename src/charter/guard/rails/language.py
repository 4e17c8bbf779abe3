"""Language: is every message, or the reply, in a language that is allowed? By py3langid (extra ``language``), 97 languages, no network.

The score is the probability that a text is in none of the allowed languages; long texts are read in passages, and the worst counts. Of a request,
users' messages are read unless ``roles`` names others. A message too short to tell is not judged (score 0), nor are several such together: greetings
in a row look like any language.
"""

from __future__ import annotations

from pydantic import Field

from charter.core.config import Config as BaseConfig
from charter.core.errors import InputError, MissingPartError
from charter.core.installing import install
from charter.core.rows import Conversation, Verdict
from charter.guard.policy import Stage
from charter.guard.rails._said import say
from charter.guard.rails._texts import Role, passages, without_past
from charter.guard.segments import view

NOT_COVERED = (
    "Short texts, mixed languages, code, names, and languages close to one another. A judge that reads only English may be wrong elsewhere. "
    "System messages, tool results and documents are read only where roles names them, and the model's earlier answers never."
)
COST = "instant"
CALIBRATES = False
#: Characters that are judged at a time.
_PASSAGE = 10_000


class Config(BaseConfig):
    """Which languages are fine."""

    allow: tuple[str, ...] = Field(default=("en",), min_length=1, description="ISO 639-1 codes")
    least: int = Field(default=20, ge=1, description="letters that a message must have to be judged")
    roles: tuple[Role, ...] = Field(
        default=("user",),
        min_length=1,
        description="whose messages of a request; descriptions of tools are system, a reply begun for the model assistant",
    )


class LanguageRail:
    """``label`` is the likeliest language of the text that decides."""

    name = "language"

    def __init__(self, config: Config) -> None:
        try:
            from importlib.metadata import version

            from py3langid.langid import MODEL_FILE, LanguageIdentifier
        except ImportError:
            raise MissingPartError("the language rail needs py3langid, which is not installed", install("language")) from None
        self._identifier = LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)
        unknown = sorted(set(config.allow) - set(self._identifier.labels))
        if unknown:
            raise InputError(f"language: allow: {unknown[0]!r} is no code that it knows", f"known: {' '.join(sorted(self._identifier.labels))}")
        self._config = config
        self.version = f"2+py3langid {version('py3langid')}"

    def __call__(self, conversation: Conversation, stage: Stage) -> Verdict:
        texts = [p for text in self._said(conversation, stage) for p in passages([text], _PASSAGE) if sum(map(str.isalpha, p)) >= self._config.least]
        if not texts:
            return say(conversation, self.name, self.version, "safe", score=0.0, reason="too short to tell")
        score, label = max(map(self._judge, texts))
        return say(conversation, self.name, self.version, "unsafe" if score >= 0.5 else "safe", score=score, label=label)

    def _said(self, conversation: Conversation, stage: Stage) -> list[str]:
        """What is written in prose: no arguments of tools."""
        roles: tuple[Role, ...] = self._config.roles if stage == "input" else ("assistant",)
        segments = view(without_past(conversation) if stage == "input" else conversation, stage).segments
        texts: dict[int, list[str]] = {}
        for segment in segments:
            if segment.role in roles and segment.field in ("content", "part"):
                texts.setdefault(segment.message, []).append(segment.text)
        return ["\n".join(pieces) for pieces in texts.values()]

    def _judge(self, text: str) -> tuple[float, str]:
        """Its score, and the likeliest language."""
        ranked = self._identifier.rank(text)
        allowed = sum(p for code, p in ranked if code in self._config.allow)
        return min(1.0, max(0.0, 1.0 - allowed)), ranked[0][0]


def build(config: Config) -> LanguageRail:
    """Raises MissingPartError without py3langid, InputError for an unknown code."""
    return LanguageRail(config)
