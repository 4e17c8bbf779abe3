"""Real servers on the loopback that speak the Perspective API and OpenAI's moderation endpoint, with their limits and their errors."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

KNOWN = {"TOXICITY", "SEVERE_TOXICITY", "IDENTITY_ATTACK", "INSULT", "PROFANITY", "THREAT", "FLIRTATION"}
CATEGORIES = ("harassment", "harassment/threatening", "hate", "hate/threatening", "illicit", "illicit/violent", "self-harm", "self-harm/intent",
              "self-harm/instructions", "sexual", "sexual/minors", "violence", "violence/graphic")  # fmt: skip


class Server(ThreadingHTTPServer):
    """Keeps every request; ``script`` holds answers (status, headers, body) to give before the real ones; status 0 sends the body as it is."""

    daemon_threads = True

    def __init__(self, answer: Any) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.answer = answer
        self.requests: list[tuple[str, dict[str, str], Any]] = []
        self.script: list[tuple[int, dict[str, str], Any]] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class _Handler(BaseHTTPRequestHandler):
    server: Server
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.requests.append((self.path, {k.lower(): v for k, v in self.headers.items()}, body))
        status, headers, answer = self.server.script.pop(0) if self.server.script else self.server.answer(self.path, body)
        data = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
        if not status:
            self.wfile.write(data)
            self.close_connection = True
            return
        self.send_response(status)
        for name, value in {"Content-Type": "application/json", "Content-Length": str(len(data)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *args: Any) -> None:
        return


@contextmanager
def running(answer: Any) -> Iterator[Server]:
    server = Server(answer)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def google_error(status: int, message: str, name: str = "INVALID_ARGUMENT", **detail: Any) -> tuple[int, dict[str, str], Any]:
    details = [{"@type": "type.googleapis.com/google.commentanalyzer.v1alpha1.Error", **detail}] if detail else []
    return status, {}, {"error": {"code": status, "message": message, "status": name, "details": details}}


def perspective(path: str, body: dict[str, Any]) -> tuple[int, dict[str, str], Any]:
    """comments:analyze: 'idiot' is toxic. Czech has no FLIRTATION, Klingon has nothing, digits have no language."""
    text = body["comment"]["text"]
    if not path.endswith("/comments:analyze"):
        return google_error(404, "not found", "NOT_FOUND")
    if not text.strip():
        return google_error(400, "Comment must be non-empty.", errorType="COMMENT_EMPTY")
    if len(text.encode()) > 20480:
        return google_error(400, "Comment text too long.", errorType="COMMENT_TOO_LONG")
    if unknown := set(body["requestedAttributes"]) - KNOWN:
        return google_error(400, f"Unknown requested attribute: {unknown.pop()}", errorType="INVALID_REQUEST")
    language = (body.get("languages") or ["tlh" if "nuqneH" in text else "cs" if "ř" in text else "en"])[0]
    if text.strip().isdigit():
        return google_error(400, "Unable to detect language.", errorType="LANGUAGE_DETECTION_FAILED")
    for name in body["requestedAttributes"]:
        if language == "tlh" or (language == "cs" and name == "FLIRTATION"):
            told = {"attribute": name, "detectedLanguages": [language]}
            message = f"Attribute {name} does not support request languages: {language}"
            return google_error(400, message, errorType="LANGUAGE_NOT_SUPPORTED_BY_ATTRIBUTE", languageNotSupportedByAttributeError=told)
    scores = {}
    for name in body["requestedAttributes"]:
        cut, at = [], 0
        for sentence in text.split(". "):
            end = min(at + units(sentence) + 2, units(text))
            cut.append({"begin": at, "end": end, "score": {"value": 0.9 if "idiot" in sentence else 0.1, "type": "PROBABILITY"}})
            at = end
        scores[name] = {"spanScores": cut, "summaryScore": {"value": 0.9 if "idiot" in text else 0.1, "type": "PROBABILITY"}}
    return 200, {}, {"attributeScores": scores, "languages": [language], "detectedLanguages": [language]}


def units(text: str) -> int:
    return len(text.encode("utf-16-le")) // 2


def moderations(path: str, body: dict[str, Any]) -> tuple[int, dict[str, str], Any]:
    """/v1/moderations: 'threat' is violence, 'hurt myself' is self-harm."""
    if body["model"] == "none-such":
        return 404, {}, {"error": {"message": "The model `none-such` does not exist", "type": "invalid_request_error", "code": "model_not_found"}}
    inputs = [body["input"]] if isinstance(body["input"], str) else body["input"]
    return 200, {}, {"id": "modr-1", "model": "omni-moderation-2024-09-26", "results": [result(text) for text in inputs]}


def result(text: str) -> dict[str, Any]:
    scores = dict.fromkeys(CATEGORIES, 0.01)
    if "threat" in text:
        scores["violence"] = 0.93
    if "hurt myself" in text:
        scores["self-harm/intent"] = 0.8
    categories = {name: score >= 0.5 for name, score in scores.items()}
    return {"flagged": any(categories.values()), "categories": categories, "category_scores": scores,
            "category_applied_input_types": {name: ["text"] for name in CATEGORIES}}  # fmt: skip
