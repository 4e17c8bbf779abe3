"""A real server on the loopback that speaks chat completions, and misbehaves on request."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple

import pytest


class Answer(NamedTuple):
    """What the server sends: ``body`` as JSON, or as it is if it is bytes, after ``delay_s``."""

    body: Any
    status: int = 200
    headers: tuple[tuple[str, str], ...] = ()
    delay_s: float = 0.0


class ChatServer(ThreadingHTTPServer):
    """``behave(number, request)`` answers the number-th chat request (from 0). Counts requests, and how many were under way at once."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.behave: Callable[[int, dict[str, Any]], Answer] = lambda number, request: self.say("hello")
        self.models: Answer = Answer({"object": "list", "data": [{"id": "tiny"}, {"id": "large"}]})
        self.requests: list[dict[str, Any]] = []
        self.keys: list[str] = []
        self.headers: list[dict[str, str]] = []
        self.at: list[float] = []
        self.busy = self.most_busy = 0
        self.lock = threading.Lock()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/v1"

    @property
    def spec(self) -> str:
        return f"openai:tiny@{self.url}"

    @staticmethod
    def answer(body: Any, **options: Any) -> Answer:
        return Answer(body, **options)

    @staticmethod
    def say(text: Any, *, finish: str | None = "stop", tokens: tuple[int, int] | None = (7, 5), delay_s: float = 0.0, **message: Any) -> Answer:
        choice = {"index": 0, "finish_reason": finish, "message": {"role": "assistant", "content": text, **message}}
        usage = {"usage": {"prompt_tokens": tokens[0], "completion_tokens": tokens[1], "total_tokens": sum(tokens)}} if tokens else {}
        return Answer({"id": "x", "object": "chat.completion", "created": 0, "model": "tiny", "choices": [choice], **usage}, delay_s=delay_s)

    @staticmethod
    def fail(status: int, message: str = "no", delay_s: float = 0.0, code: str | None = None, **headers: str) -> Answer:
        named = tuple((name.replace("_", "-"), value) for name, value in headers.items())
        return Answer({"error": {"message": message, "type": "x", "code": code}}, status, named, delay_s)

    @staticmethod
    def logprobs(top: dict[str, float]) -> Answer:
        first = next(iter(top))
        content = [{"token": first, "logprob": top[first], "bytes": None, "top_logprobs": [{"token": t, "logprob": v} for t, v in top.items()]}]
        body = ChatServer.say(first, finish="length").body
        body["choices"][0]["logprobs"] = {"content": content}
        return Answer(body)


class _Handler(BaseHTTPRequestHandler):
    server: ChatServer
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self._send(self.server.models)

    def do_POST(self) -> None:
        server = self.server
        request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        with server.lock:
            number = len(server.requests)
            server.requests.append({**request, "path": self.path})
            server.keys.append(self.headers.get("Authorization", ""))
            server.headers.append({name.lower(): value for name, value in self.headers.items()})
            server.at.append(time.monotonic())
            server.busy += 1
            server.most_busy = max(server.busy, server.most_busy)
        try:
            answer = server.behave(number, request)
            time.sleep(answer.delay_s)
        finally:
            # before the answer is out: the next request comes as soon as it is
            with server.lock:
                server.busy -= 1
        self._send(answer)

    def _send(self, answer: Answer) -> None:
        if answer.body is None:
            self.close_connection = True
            return
        data = answer.body if isinstance(answer.body, bytes) else json.dumps(answer.body).encode()
        try:
            self.send_response(answer.status)
            for name, value in (("Content-Type", "application/json"), ("Content-Length", str(len(data))), *answer.headers):
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(data)
        except OSError:
            self.close_connection = True

    def log_message(self, *args: Any) -> None:
        return


@pytest.fixture(autouse=True)
def plain_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OPENAI_API_KEY", "OPENAI_BASE_URL", "OPENAI_ORG_ID", "OPENAI_PROJECT_ID", "OPENAI_CUSTOM_HEADERS"):
        monkeypatch.delenv(name, raising=False)
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)


@pytest.fixture
def server() -> Iterator[ChatServer]:
    running = ChatServer()
    thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    yield running
    running.shutdown()
    running.server_close()
    thread.join()
