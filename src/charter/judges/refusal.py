"""Does a reply refuse? Full, partial, none or unsure, by phrases and their position; no model.

Source: the three classes of XSTest (Röttger et al. 2024, arXiv 2308.01263). The rules were developed on the replies to its odd-numbered
prompts; ``measured.json`` has the figures on the even-numbered ones.
"""

from __future__ import annotations

from charter.core.config import Config as BaseConfig
from charter.core.rows import Conversation, Verdict
from charter.judges._refusal_rules import load_phrases, read

NOT_COVERED = (
    "Whether a reply is harmful: a reply that does not refuse is 'unsure'. Refusals in languages other than English are found only by their "
    "stock phrases; evasions that never say no (a change of subject, an empty promise) are not found."
)


class Config(BaseConfig):
    """The refusal judge has no settings."""


class RefusalJudge:
    """Reads a conversation that ends in a reply. ``label`` is full, partial, none or unsure; ``score`` is None, because refusing is not a
    measure of risk. An empty reply is ``failed``, never a refusal."""

    name = "refusal"
    version = "1"

    def __init__(self) -> None:
        self._phrases = load_phrases()

    def __call__(self, conversation: Conversation) -> Verdict:
        reply = conversation.reply
        if reply is None:
            return self._verdict(conversation, "failed", reason="the conversation does not end in a reply")
        try:
            reading = read(self._phrases, conversation.prompt, reply)
        except ValueError:
            return self._verdict(conversation, "failed", reason="empty reply")
        spans = (reading.span,) if reading.span else ()
        outcome = "safe" if reading.label == "full" else "unsure"
        return self._verdict(conversation, outcome, label=reading.label, reason=reading.reason, spans=spans)

    def _verdict(self, conversation: Conversation, outcome: str, **rest: object) -> Verdict:
        return Verdict.model_validate({"subject": conversation.id, "outcome": outcome, "judge": self.name, "judge_version": self.version, **rest})


def build(config: Config) -> RefusalJudge:
    """A judge with the shipped phrase list."""
    return RefusalJudge()
