"""Moderation of one request and its replies by the local models: OpenAI's ``moderation`` parameter, and annotations as Azure writes them.

``mode: score`` only tells; a text that could not be scored is told as ``type: error``, never as unflagged. ``mode: block`` withholds as the rails do,
and fails closed. Only surfaces that have the parameter are asked for it (chat, responses); annotations are for chat.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence, Set
from dataclasses import dataclass, field
from typing import Any, Literal

from charter.core.rows import Conversation
from charter.guard.gateway.moderation import ModerationError, Moderator
from charter.guard.gateway.surfaces._surface import BadRequestError
from charter.guard.gateway.wire.errors import GatewayError, content_filter, unavailable
from charter.guard.policy import Stage
from charter.guard.segments import has_media, view

Mode = Literal["score", "block"]
#: Surfaces that have the parameter, and whether their results come as a list.
SURFACES: Mapping[str, bool] = {"chat": True, "responses": False}
#: Azure's names for the categories it annotates.
AZURE: Mapping[str, tuple[str, ...]] = {
    "hate": ("hate", "hate/threatening", "harassment", "harassment/threatening"),
    "self_harm": ("self-harm", "self-harm/intent", "self-harm/instructions"),
    "sexual": ("sexual", "sexual/minors"),
    "violence": ("violence", "violence/graphic"),
}
WITHHELD = {"type": "error", "code": "content_filter", "message": "the reply was withheld before it was whole"}
NOT_ASKED = {"type": "error", "code": "not_generated", "message": "there is no reply"}
_FAILED = "moderation_failed"


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a request asks for."""

    input: Mode = "score"
    output: Mode = "score"


def take(surface: str, body: dict[str, Any]) -> tuple[Wanted | None, dict[str, Any]]:
    """The parameter, and the body without it: it is answered here. Raises BadRequestError."""
    given = body.get("moderation") if surface in SURFACES else None
    if given is None:
        return None, body
    policy = given.get("policy") or {} if isinstance(given, dict) else None
    if not isinstance(given, dict) or not isinstance(given.get("model"), str) or not isinstance(policy, dict) or given.keys() - {"model", "policy"}:
        raise BadRequestError("moderation must be an object with a model and, perhaps, a policy", param="moderation")
    if policy.keys() - {"input", "output"}:
        raise BadRequestError("a moderation policy says what to do with input and output", param="moderation.policy")
    rest = {name: value for name, value in body.items() if name != "moderation"}
    return Wanted(_mode(policy, "input"), _mode(policy, "output")), rest


def _mode(policy: dict[str, Any], side: str) -> Mode:
    given = policy.get(side)
    if given is None:
        return "score"
    mode = given.get("mode") if isinstance(given, dict) else None
    if mode not in ("score", "block"):
        raise BadRequestError("mode must be score or block", param=f"moderation.policy.{side}.mode")
    return "block" if mode == "block" else "score"


class BlankError(ModerationError):
    """Nothing but white space, and no media: nothing to score, and nothing to withhold."""


@dataclass
class Moderating:
    """What the local models say of one request and its replies."""

    make: Callable[[], Awaitable[Moderator]]
    wanted: Wanted | None
    azure: bool
    listed: bool
    prompt: dict[str, Any] | ModerationError | None = None
    replies: dict[int, dict[str, Any] | ModerationError] = field(default_factory=dict)
    model: str = ""
    told: bool = False

    @property
    def holds(self) -> bool:
        """Whether nothing of a reply may leave before it is scored."""
        return self.wanted is not None and self.wanted.output == "block"

    async def input(self, conversations: Sequence[Conversation], words: str, param: str) -> GatewayError | None:
        """Why the request must be withheld, or None."""
        media = any(has_media(conversation, "input") for conversation in conversations)
        self.prompt = await self._score("\n".join(view(conversation, "input").text for conversation in conversations), media)
        return self._withheld(self.prompt, "input", words, param)

    async def output(self, choice: int, conversation: Conversation) -> GatewayError | None:
        """Why a reply must be withheld, or None."""
        self.replies[choice] = await self._score(view(conversation, "output").text, has_media(conversation, "output"))
        return self._withheld(self.replies[choice], "output", "", "")

    async def _score(self, text: str, media: bool) -> dict[str, Any] | ModerationError:
        if not text.strip():
            return (ModerationError if media else BlankError)("there is no text to score")
        try:
            moderator = await self.make()
            self.model = moderator.model
            [result] = await moderator.results([text])
            return result
        except ModerationError as error:
            return error
        except Exception as error:  # a moderator that cannot be built
            return ModerationError(f"the moderation failed: {type(error).__name__}")

    def _withheld(self, found: dict[str, Any] | ModerationError, side: Stage, words: str, param: str) -> GatewayError | None:
        if self.wanted is None or (self.wanted.input if side == "input" else self.wanted.output) != "block":
            return None
        if isinstance(found, BlankError):
            return None
        if isinstance(found, ModerationError):
            return unavailable("the moderation that was asked for failed, so the text is withheld")
        if not found["flagged"]:
            return None
        return content_filter(words, param, {name: True for name, wide in AZURE.items() if any(found["categories"][each] for each in wide)})

    def report(self) -> dict[str, Any] | None:
        """The ``moderation`` object of an answer; None where none was asked for."""
        if self.wanted is None:
            return None
        prompt = self.prompt if self.prompt is not None else ModerationError("the request was not scored")
        said = [self.replies[choice] for choice in sorted(self.replies)]
        return {"input": self._told([prompt]), "output": self._told(said) if said else NOT_ASKED}

    def _told(self, found: Sequence[dict[str, Any] | ModerationError]) -> dict[str, Any]:
        failed = next((each for each in found if isinstance(each, ModerationError)), None)
        if failed is not None:
            return {"type": "error", "code": _FAILED, "message": str(failed)}
        results = [{"type": "moderation_result", "model": self.model, **each} for each in found if isinstance(each, dict)]
        return {"type": "moderation_results", "model": self.model, "results": results} if self.listed else results[0]

    def prompt_filter_results(self) -> list[dict[str, Any]]:
        """Azure's annotation of the request."""
        return [{"prompt_index": 0, "content_filter_results": annotation(self.prompt, filtered=False)}]

    def content_filter_results(self, choice: int, *, filtered: bool) -> dict[str, Any]:
        """Azure's annotation of a reply."""
        return annotation(self.replies.get(choice), filtered=filtered)

    def annotate(self, answer: dict[str, Any], withheld: Set[int]) -> dict[str, Any]:
        """A whole answer with what was asked for beside it."""
        report = self.report()
        if report is not None:
            answer = {**answer, "moderation": report}
        if not self.azure:
            return answer
        choices = [
            {**choice, "content_filter_results": self.content_filter_results(choice["index"], filtered=choice["index"] in withheld)}
            for choice in answer.get("choices", [])
        ]
        return {**answer, "prompt_filter_results": self.prompt_filter_results(), "choices": choices}

    def on_chunk(self, chunk: dict[str, Any], choice: int, *, ends: bool, filtered: bool) -> dict[str, Any]:
        """See ``Notes``. The request's annotation stands on the first chunk, a reply's on its last."""
        if not self.azure:
            return chunk
        if not self.told:
            self.told = True
            chunk = {**chunk, "prompt_filter_results": self.prompt_filter_results()}
        if ends:
            results = self.content_filter_results(choice, filtered=filtered)
            chunk = {**chunk, "choices": [{**each, "content_filter_results": results} for each in chunk["choices"]]}
        return chunk


def annotation(found: dict[str, Any] | ModerationError | None, *, filtered: bool) -> dict[str, Any]:
    """Azure's severities from scores: a category is ``medium`` where it is flagged, ``high`` far over that, ``low`` where it is half way there."""
    if not isinstance(found, dict):
        return {"error": {"code": "content_filter_error", "message": "the contents could not be scored"}}
    told = {}
    for name, wide in AZURE.items():
        flagged, score = any(found["categories"][each] for each in wide), max(found["category_scores"][each] for each in wide)
        severity = ("high" if score >= 0.9 else "medium") if flagged else "low" if score >= 0.2 else "safe"
        told[name] = {"filtered": filtered and flagged, "severity": severity}
    return told
