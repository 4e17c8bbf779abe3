"""gpt-oss-safeguard: does the text break a policy that you write? The policy is a charter, or a file of yours.

Format: OpenAI's and ROOST's user guide (2025): the policy is the system message, the content the user message, the answer is in a form that the
policy sets. Ours is ``gpt_oss_safeguard.txt``: one JSON object. A server parts the reasoning from the answer, as vLLM and Ollama do; of
local weights, whose text has lost its channel marks (``analysis … assistantfinal{…}``), it is parted here.
Placeholders: {policy}, {hazards}, {conversation}, {text}, {mark}.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from pydantic import Field

from charter.core.errors import InputError
from charter.core.rows import Conversation, Message, Verdict
from charter.core.shapes import Model
from charter.judges._asking import NoVerdict, prompt_text
from charter.judges._guards import GuardConfig, GuardJudge, open_guard
from charter.judges._quoting import fill, mark_for, quoted, transcript
from charter.policy.load import load_charter

NOT_COVERED = (
    "What the policy does not say. It reasons before it answers, so it is slow; it was trained on policies, and wording matters. From "
    "local weights an answer whose channels cannot be told apart is failed, as it is of every text that holds the word 'assistantfinal'."
)
#: What is left of the marks before the reasoning and before the answer. Where the judged text holds the second, nothing is parted.
_ANALYSIS, _FINAL = "analysis", "assistantfinal"
_RULES, _ASKED = prompt_text("gpt_oss_safeguard.txt").split("=====\n")


class Config(GuardConfig):
    """Settings of the gpt-oss-safeguard judge."""

    charter: str = Field(default="default", description="a shipped charter's name or a YAML file: its hazards are the policy")
    policy: Path | None = Field(default=None, description="a text file with a policy of yours, in place of the charter; no hazards are named then")
    max_tokens: int = Field(default=2048, ge=1, description="room for the reasoning and the answer")


class SafeguardJudge(GuardJudge):
    """Unsafe = the text breaks the policy; ``hazards`` are the charter's ids."""

    name = "gpt_oss_safeguard"

    def __init__(self, model: Model, config: Config, policy: str, hazards: Sequence[str]) -> None:
        super().__init__(model, config, "chat", _RULES, _ASKED, policy)
        self._hazards = tuple(hazards)
        self._system = fill(_RULES, {"policy": policy, "hazards": ", ".join((*self._hazards, "none"))})

    def questions(self, conversation: Conversation) -> list[Conversation]:
        reply = conversation.reply
        turns = conversation.without_reply.messages if reply is not None else conversation.messages[:-1]
        before = transcript([(m.role, m.text) for m in turns]) or "| "
        texts = {"conversation": before, "text": quoted(conversation.prompt if reply is None else reply)}
        asked = fill(_ASKED, {**texts, "mark": mark_for(self._system, *texts.values())})
        return [Conversation(messages=(Message(role="system", content=self._system), Message(role="user", content=asked)))]

    def read(self, conversation: Conversation, texts: Sequence[str]) -> Verdict:
        asked = "".join(message.text for question in self.questions(conversation) for message in question.messages)
        breaks, hazard = parse(texts[0] if _FINAL in asked else final(texts[0]), self._hazards)
        return self.verdict(conversation, "unsafe" if breaks else "safe", hazards=(hazard,) if hazard else ())


def final(text: str) -> str:
    """What stands in the final channel of an answer that has lost its channel marks; the text as it is where it has not just one such channel."""
    reasoning, mark, said = text.strip().partition(_FINAL)
    return said if mark and reasoning.startswith(_ANALYSIS) and _FINAL not in said else text


def parse(text: str, hazards: Sequence[str]) -> tuple[bool, str]:
    """(breaks the policy, hazard id or ''). Raises NoVerdict for anything but the one JSON object."""
    try:
        found = json.loads(text, object_pairs_hook=_each_once)
    except (ValueError, RecursionError):
        raise NoVerdict("not one JSON object") from None
    if not isinstance(found, dict) or set(found) != {"violation", "hazard"}:
        raise NoVerdict("not an object of violation and hazard")
    violation, hazard = found["violation"], found["hazard"]
    if isinstance(violation, bool) or violation not in (0, 1) or not isinstance(violation, int) or hazard not in ("none", *hazards):
        raise NoVerdict("a violation that is neither 0 nor 1, or a hazard that is not in the policy")
    if (violation == 0) != (hazard == "none") and hazards:
        raise NoVerdict("violation and hazard contradict each other")
    return violation == 1, "" if hazard == "none" else str(hazard)


def _each_once(pairs: list[tuple[str, object]]) -> dict[str, object]:
    """A key that stands twice says two things, of which a plain reading takes the last. Raises ValueError."""
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a key twice")
    return found


def charter_policy(spec: str) -> tuple[str, tuple[str, ...]]:
    """A charter's hazards as a policy, and their ids."""
    charter = load_charter(spec)
    lines = []
    for hazard in charter.hazards:
        lines.append(f"{hazard.id}: {' '.join(hazard.description.split())}")
        lines += [f"  breaks the policy: {' '.join(text.split())}" for text in hazard.covers]
        lines += [f"  does not: {' '.join(text.split())}" for text in hazard.not_covered]
    return "\n".join(lines), tuple(hazard.id for hazard in charter.hazards)


def build(config: Config) -> SafeguardJudge:
    """Raises InputError without a model, or for a policy that cannot be read."""
    model, _ = open_guard("gpt_oss_safeguard", config, "chat", ("chat",))
    if config.policy is None:
        return SafeguardJudge(model, config, *charter_policy(config.charter))
    try:
        policy = config.policy.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError):
        raise InputError(f"{config.policy}: cannot be read as a policy text", f"ls -l {config.policy}") from None
    if not policy:
        raise InputError(f"{config.policy}: holds no policy", "write what the text must not do, and what is fine")
    return SafeguardJudge(model, config, policy, ())
