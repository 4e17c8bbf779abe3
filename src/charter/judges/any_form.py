"""A judge that reads a text in every form, as it stands and with disguises undone; the riskiest verdict holds.

Hidden and encoded passages are forms too. The last message is read so: the reply where there is one, else the request. The forms are those of
``charter.core.normalise``; clean text has one, so the part is then asked once.
"""

from __future__ import annotations

from collections.abc import Sequence

from pydantic import Field

from charter.core.config import Config as BaseConfig
from charter.core.normalise import View, views
from charter.core.rows import Conversation, Verdict
from charter.judges._algebra import Combined, either, joint_heads, joint_score
from charter.judges._judging import judge_conversations
from charter.judges._spec import Spec, build_judge

NOT_COVERED = (
    "Disguises that the normaliser does not know, and those of earlier messages. A wrong guess at a disguise is judged too, so false alarms can only "
    "grow. Each form costs a question."
)


class Config(BaseConfig):
    """The part."""

    judge: Spec = Field(default="", description="the judge that reads")


class AnyForm(Combined):
    """Unsafe where any form is; else failed, else unsure where any form is. ``score`` is the highest, and so is each head; spans point into
    the text as it stands."""

    kind = "any_form"

    def __call__(self, conversation: Conversation) -> Verdict:
        return self.batch([conversation])[0]

    def batch(self, conversations: Sequence[Conversation]) -> list[Verdict]:
        """All forms of all conversations in one group."""
        forms = [_forms(conversation) for conversation in conversations]
        found = iter(judge_conversations(self.parts[0], [put for own in forms for _, put in own]))
        return [self._worst(c, [(view, next(found)) for view, _ in own]) for c, own in zip(conversations, forms, strict=True)]

    def _worst(self, conversation: Conversation, found: Sequence[tuple[View, Verdict]]) -> Verdict:
        outcome = either([verdict.outcome for _, verdict in found])
        score = joint_score([verdict for _, verdict in found], max)
        view, worst = max((pair for pair in found if pair[1].outcome == outcome), key=lambda pair: pair[1].score or 0.0)
        spans = tuple(span for start, end in worst.spans if (span := view.span(start, end))[0] < span[1])
        update: dict[str, object] = {"subject": conversation.id, "judge": self.name, "judge_version": self.version, "spans": spans}
        update |= {
            "score": None if outcome == "failed" else score,
            "scores": {} if outcome == "failed" else joint_heads([verdict for _, verdict in found], max),
            "reason": f"as {view.name}: {worst.reason}" if worst.reason else f"as {view.name}",
        }
        return worst.model_copy(update=update)


def _forms(conversation: Conversation) -> list[tuple[View, Conversation]]:
    """Every form of the last message, in its place. A message that is no plain text is read as it stands."""
    last = conversation.messages[-1]
    found = views(last.text)
    if not isinstance(last.content, str):
        return [(found[0], conversation)]
    changed = [last.model_copy(update={"content": view.text}) for view in found]
    return [(view, Conversation(messages=(*conversation.messages[:-1], message))) for view, message in zip(found, changed, strict=True)]


def build(config: Config) -> AnyForm:
    """Raises InputError for a part that cannot be built."""
    return AnyForm([build_judge(config.judge)])
