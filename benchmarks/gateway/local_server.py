"""A local model as an OpenAI-compatible server, for benchmarks of the gateway only: no keys, no limits, no streaming of its own (a stream is cut up).

Run: .venv/bin/python benchmarks/gateway/local_server.py [MODEL] [--port 9200] [--max-tokens 64]

MODEL is what ``charter evaluate`` takes: embedded, a folder, a hub id. Requests that come while the model is busy are answered together.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import time
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from charter.core.rows import Conversation, Message, Reply, Sampling
from charter.models import load_model

BATCH = 32


class Server:
    """Queues requests for one model, which answers them in a thread, ``BATCH`` at a time, those with equal sampling together."""

    def __init__(self, spec: str, max_tokens: int) -> None:
        self.model, self.spec, self.max_tokens = load_model(spec), spec, max_tokens
        self.queue: asyncio.Queue[tuple[Conversation, Sampling, asyncio.Future[Reply]]] = asyncio.Queue()

    @contextlib.asynccontextmanager
    async def lifespan(self, _app: Starlette):
        task = asyncio.create_task(self._work())
        yield
        task.cancel()

    async def _work(self) -> None:
        waiting: list[tuple[Conversation, Sampling, asyncio.Future[Reply]]] = []
        while True:
            waiting.append(await self.queue.get()) if not waiting else None
            await asyncio.sleep(0.02)
            while not self.queue.empty():
                waiting.append(self.queue.get_nowait())
            batch = [item for item in waiting if item[1] == waiting[0][1]][:BATCH]
            waiting = [item for item in waiting if item not in batch]
            try:
                replies = await asyncio.to_thread(self.model.reply, [item[0] for item in batch], batch[0][1])
            except Exception as error:
                replies = [Reply(text="", finish="error", error=type(error).__name__) for _ in batch]
            for (_, _, future), reply in zip(batch, replies, strict=True):
                if not future.done():
                    future.set_result(reply)

    async def models(self, _request: Request) -> Response:
        return JSONResponse({"object": "list", "data": [{"id": self.spec, "object": "model", "created": 0, "owned_by": "charter"}]})

    async def chat(self, request: Request) -> Response:
        body = await request.json()
        messages = tuple(Message(role=m["role"], content=plain(m.get("content"))) for m in body["messages"])
        limit = body.get("max_completion_tokens") or body.get("max_tokens") or self.max_tokens
        sampling = Sampling(
            max_tokens=min(int(limit), self.max_tokens), temperature=float(body.get("temperature") or 0.0), seed=int(body.get("seed") or 0)
        )
        future: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()
        await self.queue.put((Conversation(messages=messages), sampling, future))
        reply = await future
        if reply.finish == "error":
            return JSONResponse({"error": {"message": reply.error, "type": "server_error", "code": "model"}}, 500)
        told = {"id": f"chatcmpl-{time.monotonic_ns()}", "created": int(time.time()), "model": body.get("model", self.spec)}
        finish = "length" if reply.finish == "length" else "stop"
        if body.get("stream"):
            return StreamingResponse(events(told, reply.text, finish), media_type="text/event-stream")
        message = {"role": "assistant", "content": reply.text}
        usage = {
            "prompt_tokens": reply.tokens_in or 0,
            "completion_tokens": reply.tokens_out or 0,
            "total_tokens": (reply.tokens_in or 0) + (reply.tokens_out or 0),
        }
        choice = {"index": 0, "message": message, "finish_reason": finish}
        return JSONResponse({**told, "object": "chat.completion", "choices": [choice], "usage": usage})


async def events(told: dict[str, Any], text: str, finish: str):
    for word in [*text.split(" ")]:
        yield event(told, {"content": word + " "}, None)
    yield event(told, {}, finish)
    yield "data: [DONE]\n\n"


def event(told: dict[str, Any], delta: dict[str, str], finish: str | None) -> str:
    return f"data: {json.dumps({**told, 'object': 'chat.completion.chunk', 'choices': [{'index': 0, 'delta': delta, 'finish_reason': finish}]})}\n\n"


def plain(content: Any) -> str:
    return content if isinstance(content, str) else "".join(part.get("text", "") for part in content or [])


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("model", nargs="?", default="embedded")
    parser.add_argument("--port", type=int, default=9200)
    parser.add_argument("--max-tokens", type=int, default=64, help="longest reply, whatever is asked for")
    given = parser.parse_args()
    server = Server(given.model, given.max_tokens)
    routes = [Route("/v1/models", server.models), Route("/v1/chat/completions", server.chat, methods=["POST"])]
    uvicorn.run(Starlette(routes=routes, lifespan=server.lifespan), host="127.0.0.1", port=given.port, log_level="warning")


if __name__ == "__main__":
    main()
