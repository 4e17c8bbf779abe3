"""Language: is the last message, or the reply, in a language that is allowed? By py3langid (extra ``language``), 97 languages, no network.

The score is the probability that the text is in none of the allowed languages. Text too short to tell is not judged (score 0).
"""

from __future__ import annotations

from pydantic import Field

from charter.core.config import Config as BaseConfig
from charter.core.errors import InputError, MissingPartError
from charter.core.installing import install
from charter.core.rows import Conversation, Verdict
from charter.guard.policy import Stage
from charter.guard.rails._said import say
from charter.guard.segments import view

NOT_COVERED = "Short texts, mixed languages, code, names, and languages close to one another. A judge that reads only English may be wrong elsewhere."
COST = "instant"
CALIBRATES = False


class Config(BaseConfig):
    """Which languages are fine."""

    allow: tuple[str, ...] = Field(default=("en",), min_length=1, description="ISO 639-1 codes")
    least: int = Field(default=20, ge=1, description="letters that a text must have to be judged")


class LanguageRail:
    """``label`` is the likeliest language."""

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
        self.version = f"1+py3langid {version('py3langid')}"

    def __call__(self, conversation: Conversation, stage: Stage) -> Verdict:
        segments = view(conversation, stage).segments
        told = [s for s in segments if s.field in ("content", "part") and (stage == "output" or s.role == "user")]
        last = max((s.message for s in told), default=-1)
        text = "\n".join(s.text for s in told if s.message == last)
        if sum(map(str.isalpha, text)) < self._config.least:
            return say(conversation, self.name, self.version, "safe", score=0.0, reason="too short to tell")
        ranked = self._identifier.rank(text[:10_000])
        allowed = sum(p for code, p in ranked if code in self._config.allow)
        score = min(1.0, max(0.0, 1.0 - allowed))
        return say(conversation, self.name, self.version, "unsafe" if score >= 0.5 else "safe", score=score, label=ranked[0][0])


def build(config: Config) -> LanguageRail:
    """Raises MissingPartError without py3langid, InputError for an unknown code."""
    return LanguageRail(config)
