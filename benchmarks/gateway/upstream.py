"""A model server that costs next to nothing, so that what is measured is what stands before it. OpenAI chat completions, whole and streamed.

Run: python benchmarks/gateway/upstream.py --port 9100 [--texts FILE.jsonl]

The model's name says what it answers: ``words-N-D`` N words, streamed one a chunk with D ms between them; ``text-K-D`` the text of line K of
FILE, cut as that line says (``{"pieces": [...]}``), with D ms between the pieces. Everything else is ``words-100-0``. One process, no framework.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import re
from pathlib import Path

_HEAD = b'{"id":"chatcmpl-bench","object":"chat.completion%b","created":1700000000,"model":"bench","choices":[{"index":0,'
_MODEL = re.compile(rb'"model"\s*:\s*"([^"]*)"')
_WORD = "word"


class Server(asyncio.Protocol):
    """One connection; keep-alive, no pipelining."""

    def __init__(self, texts: list[list[str]]) -> None:
        self._texts, self._got, self._task = texts, bytearray(), None

    def connection_made(self, transport) -> None:
        self._transport = transport

    def connection_lost(self, _error) -> None:
        if self._task is not None:
            self._task.cancel()

    def data_received(self, data: bytes) -> None:
        self._got += data
        while (end := self._got.find(b"\r\n\r\n")) >= 0:
            head = bytes(self._got[:end])
            length = re.search(rb"content-length: *(\d+)", head, re.IGNORECASE)
            need = end + 4 + (int(length[1]) if length else 0)
            if len(self._got) < need:
                return
            body = bytes(self._got[end + 4 : need])
            del self._got[:need]
            self._answer(head, body)

    def _answer(self, head: bytes, body: bytes) -> None:
        if head.startswith(b"GET"):
            self._whole({"object": "list", "data": [{"id": "words-100-0", "object": "model", "created": 0, "owned_by": "bench"}]})
            return
        pieces, delay_s = self._said(_MODEL.search(body))
        if re.search(rb'"stream"\s*:\s*true', body):
            self._task = asyncio.get_running_loop().create_task(self._stream(pieces, delay_s))
            return
        message = {"role": "assistant", "content": "".join(pieces)}
        usage = {"prompt_tokens": 10, "completion_tokens": len(pieces), "total_tokens": 10 + len(pieces)}
        self._whole({"id": "chatcmpl-bench", "object": "chat.completion", "created": 1700000000, "model": "bench", "usage": usage,
                     "choices": [{"index": 0, "message": message, "finish_reason": "stop"}]})  # fmt: skip

    def _said(self, model) -> tuple[list[str], float]:
        kind, *numbers = (model[1].decode() if model else "").split("/")[-1].split("-")
        if kind == "text" and len(numbers) == 2:
            return self._texts[int(numbers[0])], float(numbers[1]) / 1000
        count, delay_ms = (int(numbers[0]), float(numbers[1])) if kind == "words" and len(numbers) == 2 else (100, 0.0)
        return [f"{_WORD}{n} " if n % 20 else f"{_WORD}{n}. " for n in range(1, count + 1)], delay_ms / 1000

    def _whole(self, value: object) -> None:
        body = json.dumps(value).encode()
        self._transport.write(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%b" % (len(body), body))

    async def _stream(self, pieces: list[str], delay_s: float) -> None:
        self._transport.write(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n")
        head = _HEAD % b".chunk"
        self._event(head + b'"delta":{"role":"assistant","content":""},"finish_reason":null}]}')
        for piece in pieces:
            await asyncio.sleep(delay_s)
            self._event(head + b'"delta":{"content":%b},"finish_reason":null}]}' % json.dumps(piece).encode())
        self._event(head + b'"delta":{},"finish_reason":"stop"}]}')
        self._event(b"[DONE]")
        self._transport.write(b"0\r\n\r\n")

    def _event(self, data: bytes) -> None:
        event = b"data: %b\n\n" % data
        self._transport.write(b"%x\r\n%b\r\n" % (len(event), event))


async def serve(port: int, texts: list[list[str]]) -> None:
    server = await asyncio.get_running_loop().create_server(lambda: Server(texts), "127.0.0.1", port)
    await server.serve_forever()


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, default=9100)
    parser.add_argument("--texts", type=Path, default=None)
    given = parser.parse_args()
    texts = [json.loads(line)["pieces"] for line in given.texts.read_text(encoding="utf-8").splitlines()] if given.texts else []
    try:
        import uvloop
    except ImportError:
        asyncio.run(serve(given.port, texts))
    else:
        uvloop.run(serve(given.port, texts))


if __name__ == "__main__":
    main()
