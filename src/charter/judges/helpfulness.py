"""How well does the reply serve the request? 1 to 5, asked of any model.

The harmlessness judges' counterpart (Bai et al. 2022, arXiv 2204.05862: help and harm are measured apart). The prompt is ``helpfulness.txt``;
placeholders: {conversation}, {reply}, {mark}.
"""

from __future__ import annotations

from collections.abc import Sequence

from pydantic import Field

from charter.core.config import Config as BaseConfig
from charter.core.config import SpecText
from charter.core.rows import Conversation, Verdict
from charter.core.shapes import Model
from charter.judges._asking import AskingJudge, NoVerdict, before_reply, changed, judge_model, last_lines, prompt_text, put
from charter.judges._quoting import version_of

NOT_COVERED = "Harm: the outcome is always 'unsure'. Facts that the model does not know, and its taste for length and for its own style."


class Config(BaseConfig):
    """Settings of the helpfulness judge."""

    model: SpecText = Field(default="", description="the model that is asked, such as openai:MODEL@URL")
    max_tokens: int = Field(default=256, ge=1, description="room for the reasons")


class HelpfulnessJudge(AskingJudge):
    """``label`` is the mark 1 to 5; ``scores['helpfulness']`` is 0 to 1. ``score`` is empty, because helping is no measure of risk."""

    name = "helpfulness"
    answers = ("helpfulness",)
    relative = True

    def __init__(self, model: Model, config: Config) -> None:
        self.text = prompt_text("helpfulness.txt")
        super().__init__(model, f"1.{version_of(self.text, *changed(config, 'max_tokens'))}")
        self.max_tokens = config.max_tokens

    def questions(self, conversation: Conversation) -> list[Conversation]:
        return [put(self.text, {}, {"conversation": before_reply(conversation), "reply": conversation.reply or ""})]

    def read(self, conversation: Conversation, texts: Sequence[str]) -> Verdict:
        (mark,) = last_lines(texts[0], "RATING")
        if mark not in ("1", "2", "3", "4", "5"):
            raise NoVerdict("a rating that is none of 1 to 5")
        return self.verdict(conversation, "unsure", label=mark, scores={"helpfulness": (int(mark) - 1) / 4})


def build(config: Config) -> HelpfulnessJudge:
    """Raises InputError without a model."""
    return HelpfulnessJudge(judge_model("helpfulness", config.model), config)
