"""OpenAI's moderation endpoint, and any server that speaks it, on the wire: category scores, several texts a request, long texts in pieces.

``POST /moderations {"model", "input": [texts]}``. Retries, waits and budgets are those of the chat backend. A text without a result has a reason
instead; it is never scored 0.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from charter.core.rows import Conversation, Sampling
from charter.models._completion import _encodable
from charter.models._endpoint import endpoint
from charter.models._pieces import pieces
from charter.models._trouble import Trouble
from charter.models.openai import Config, OpenAIModel, _run

if TYPE_CHECKING:
    from openai import AsyncOpenAI

DEFAULT = "omni-moderation-latest"
#: Characters of a piece: the endpoint reads long texts less well than short ones.
PIECE = 8000
OVERLAP = 200
TEXTS_A_REQUEST = 16


class Moderation(NamedTuple):
    """Category scores 0 to 1 (the highest over the pieces of a long text) and what the service flags. ``model`` is the one that answered.
    ``reason`` says why there are none, or not those of every piece: then what was lost may hold more than the scores say."""

    scores: dict[str, float]
    flagged: tuple[str, ...] = ()
    is_flagged: bool = False
    model: str = ""
    pieces: int = 1
    reason: str = ""


class ModerationClient(OpenAIModel):
    """A moderation model at a URL."""

    def __init__(self, argument: str, config: Config) -> None:
        super().__init__(endpoint(argument or DEFAULT), config)

    def moderate(self, texts: Sequence[str]) -> list[Moderation]:
        """Results in order. Raises ModelError if no request brought an answer and the server, the key or the model's name is why."""
        cut = [pieces(text, PIECE, overlap=OVERLAP) if text.strip() else [] for text in texts]
        inputs = [piece for parts in cut for _, piece in parts]
        found = iter(_run(self._all(inputs)) if inputs else [])
        return [_merge([next(found) for _ in parts]) if parts else Moderation({}, reason="the text is empty") for parts in cut]

    async def _all(self, inputs: list[str]) -> list[Moderation]:
        gate, stop = asyncio.Semaphore(self.config.concurrency), list[Trouble]()
        groups = [inputs[at : at + TEXTS_A_REQUEST] for at in range(0, len(inputs), TEXTS_A_REQUEST)]

        async def one(index: int, client: AsyncOpenAI) -> list[Moderation] | Trouble:
            async with gate:
                body = {"model": self.where.name, "input": [_encodable(text) for text in groups[index]]}
                answer = await self._ask(client, body, stop, index)
                return answer if isinstance(answer, Trouble) else read_results(answer.body, len(groups[index]))

        async with self._client() as client:
            done = await asyncio.gather(*(one(index, client) for index in range(len(groups))))
            if stop and not any(isinstance(item, list) for item in done):
                raise await self._fatal(client, stop[0])
        failed = [[Moderation({}, reason=item.text)] * len(groups[i]) if isinstance(item, Trouble) else item for i, item in enumerate(done)]
        return [result for group in failed for result in group]

    async def _create(self, client: AsyncOpenAI, body: dict[str, Any]) -> tuple[Any, Mapping[str, str]]:
        raw = await client.moderations.with_raw_response.create(**body, extra_body=self.config.extra_body or None)
        return json.loads(raw.http_response.text), raw.http_response.headers

    def _body(self, conversation: Conversation, sampling: Sampling) -> dict[str, Any]:
        raise NotImplementedError("a moderation model does not chat")


def read_results(body: dict[str, Any], count: int) -> list[Moderation]:
    """One result for each text, or for every text the reason why the answer cannot be read."""
    results = body.get("results")
    if not isinstance(results, list) or len(results) != count:
        got = len(results) if isinstance(results, list) else "no"
        return [Moderation({}, reason=f"the answer holds {got} results for {count} texts")] * count
    return [_read(result, str(body.get("model") or "")[:80]) for result in results]


def _read(result: Any, model: str) -> Moderation:
    scores = result.get("category_scores") if isinstance(result, dict) else None
    categories = result.get("categories") if isinstance(result, dict) else None
    if not isinstance(scores, dict) or not isinstance(categories, dict) or not isinstance(result.get("flagged"), bool) or not scores:
        return Moderation({}, reason="a result without category scores")
    if not all(isinstance(v, (int, float)) and not isinstance(v, bool) and 0 <= v <= 1 for v in scores.values()):
        return Moderation({}, reason="a category score that is no probability")
    flagged = tuple(sorted(str(name) for name, value in categories.items() if value is True))
    return Moderation({str(k): float(v) for k, v in scores.items()}, flagged, result["flagged"], model)


def _merge(parts: list[Moderation]) -> Moderation:
    """The worst of the pieces. ``reason`` tells of a lost one, which only an outcome that the others already decide may overlook."""
    lost = next((part for part in parts if part.reason), None)
    kept = [part for part in parts if not part.reason]
    names = sorted({name for part in kept for name in part.scores})
    scores = {name: max(part.scores.get(name, 0.0) for part in kept) for name in names}
    flagged = tuple(sorted({name for part in kept for name in part.flagged}))
    model = kept[0].model if kept else ""
    return Moderation(scores, flagged, any(part.is_flagged for part in kept), model, len(parts), lost.reason if lost else "")
