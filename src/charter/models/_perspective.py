"""The Perspective API (comments:analyze of Google's Comment Analyzer) on the wire: attributes, spans, quotas, languages, long texts.

Protocol: developers.perspectiveapi.com, v1alpha1: one request a second by default, 20 KB of text a request, errors with an ``errorType``. The key
goes into a header, never into a URL. A text without a score has a reason instead; it is never scored 0.
"""

from __future__ import annotations

import http.client
import json
import os
import time
import urllib.error
import urllib.request
import urllib.response
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from pydantic import Field

from charter.core.config import Config as BaseConfig
from charter.core.errors import InputError, ModelError
from charter.core.seeds import stream
from charter.models._pieces import pieces
from charter.models._trouble import RETRIED, connection_trouble, retry_after_s

OFFICIAL = "https://commentanalyzer.googleapis.com/v1alpha1"
MAX_BYTES = 20_000
OVERLAP = 200


class PerspectiveConfig(BaseConfig):
    """How the service is asked. Times in seconds."""

    url: str = Field(default=OFFICIAL, description="where comments:analyze is")
    api_key_env: str = Field(default="PERSPECTIVE_API_KEY", min_length=1, description="environment variable that holds the key")
    languages: tuple[str, ...] = Field(default=(), description="language codes; empty lets the service find out")
    qps: float = Field(default=1.0, gt=0, description="requests a second that the project's quota allows")
    retries: int = Field(default=4, ge=0, description="tries after the first, for a used-up quota, 5xx and broken connections")
    backoff_s: float = Field(default=1.0, ge=0, description="wait before the first retry; doubles each time")
    timeout_s: float = Field(default=20.0, gt=0, description="for one request")
    do_not_store: bool = Field(default=True, description="ask the service not to keep the text")


class Span(NamedTuple):
    """Characters ``start`` to ``end`` and their score."""

    start: int
    end: int
    score: float


class Analysis(NamedTuple):
    """Scores by attribute (the highest over the pieces of a long text that were scored), spans by attribute, and attributes that the language of the
    text, or of a piece, does not have. ``reason`` says why a piece has no scores; others may have some."""

    scores: dict[str, float]
    spans: dict[str, tuple[Span, ...]]
    unsupported: tuple[str, ...] = ()
    languages: tuple[str, ...] = ()
    pieces: int = 1
    reason: str = ""


class _Refused(Exception):
    """The service will not score this text; the text of the error says why."""


class _Unsupported(Exception):
    """The attribute (argument) does not exist in the text's language."""


class Perspective:
    """One client: keeps the pace of the quota, waits when told to, gives up with a reason."""

    def __init__(self, config: PerspectiveConfig) -> None:
        parts = urlsplit(config.url)
        if parts.scheme not in ("http", "https") or not parts.hostname or "@" in parts.netloc or parts.query or parts.fragment:
            raise InputError(f"perspective: {parts.hostname or config.url[:40]!r} is not the URL of a service", OFFICIAL)
        self.config = config
        self.url = config.url.rstrip("/")
        self._next = 0.0
        self.requests = 0
        self._reached = False
        self._key()

    def analyze(self, text: str, attributes: Sequence[str]) -> Analysis:
        """Scores of one text. Raises ModelError for a wrong key, and when the service was never reached."""
        if not text.strip():
            return Analysis({}, {}, reason="the text is empty")
        parts = pieces(text, MAX_BYTES, lambda piece: len(piece.encode("utf-8", "replace")), OVERLAP)
        scores: dict[str, float] = {}
        spans: dict[str, list[Span]] = {}
        wanted, lost, seen = list(attributes), list[str](), list[str]()
        try:
            for start, piece in parts:
                if not piece.strip():
                    continue
                answer = self._piece(piece, wanted, lost)
                for name in wanted:
                    score, found = _score(answer, name, piece)
                    scores[name] = max(score, scores.get(name, 0.0))
                    spans.setdefault(name, []).extend(Span(s.start + start, s.end + start, s.score) for s in found)
                seen += [str(code) for code in answer.get("detectedLanguages") or answer.get("languages") or [] if isinstance(code, str)]
            reason = ""
        except _Refused as error:
            reason = str(error)
        return Analysis(scores, {name: tuple(found) for name, found in spans.items()}, tuple(lost), tuple(dict.fromkeys(seen)), len(parts), reason)

    def _piece(self, piece: str, wanted: list[str], lost: list[str]) -> dict[str, Any]:
        """Ask; an attribute that the language lacks is left out from here on and noted."""
        while True:
            try:
                return self._ask(piece, wanted)
            except _Unsupported as error:
                name = str(error) if str(error) in wanted else wanted[0]
                wanted.remove(name)
                lost.append(name)
                if not wanted:
                    raise _Refused("no attribute supports the language of the text") from None

    def _ask(self, piece: str, attributes: Sequence[str]) -> dict[str, Any]:
        body: dict[str, Any] = {
            "comment": {"text": piece.encode("utf-16", "surrogatepass").decode("utf-16", "replace"), "type": "PLAIN_TEXT"},
            "requestedAttributes": {name: {} for name in attributes},
            "spanAnnotations": True,
            "doNotStore": self.config.do_not_store,
        }
        if self.config.languages:
            body["languages"] = list(self.config.languages)
        jitter = stream(self.requests, "perspective")
        for attempt in range(self.config.retries + 1):
            status, headers, answer, broken = self._send(body)
            if status == 200 and isinstance(answer, dict):
                return answer
            retry = status in RETRIED or status >= 500 or status in (0, 200)
            wait = retry_after_s(headers, time.time())
            if not retry:
                raise self._meaning(status, answer)
            if attempt == self.config.retries or (wait or 0.0) > 120.0:
                break
            time.sleep(wait if wait is not None else min(30.0, self.config.backoff_s * 2**attempt) * jitter.uniform(0.75, 1.0))
        if not self._reached:
            raise ModelError(f"perspective: {broken or f'the service answered HTTP {status}'}", f"curl {self.url}")
        raise _Refused("the quota is used up (HTTP 429)" if status == 429 else broken or f"no answer that can be read (HTTP {status})")

    def _send(self, body: Mapping[str, Any]) -> tuple[int, Mapping[str, str], Any, str]:
        """(status, headers, JSON, trouble in words); status 0 = no answer."""
        time.sleep(max(0.0, self._next - time.monotonic()))
        self._next = time.monotonic() + 1.0 / self.config.qps
        self.requests += 1
        headers = {"Content-Type": "application/json", "X-Goog-Api-Key": self._key()}
        request = urllib.request.Request(f"{self.url}/comments:analyze", json.dumps(body).encode(), headers, method="POST")
        try:
            with _opened(request, self.config.timeout_s) as response:  # an answer whose body breaks off is none, whatever its status
                status = response.status or 0
                self._reached = self._reached or status != 404
                return status, {k.lower(): v for k, v in response.headers.items()}, _json(response.read()), ""
        except TimeoutError:
            return 0, {}, None, f"no answer within {self.config.timeout_s:g} s"
        except (OSError, ValueError, http.client.HTTPException) as error:
            return 0, {}, None, connection_trouble(error, self.url).text

    def _meaning(self, status: int, answer: Any) -> Exception:
        """What an error that no retry mends means: for this text, for an attribute, or for everything."""
        error = answer.get("error") if isinstance(answer, dict) else None
        error = error if isinstance(error, dict) else {}
        details = [d for d in error.get("details") or [] if isinstance(d, dict)]
        kind = next((str(d["errorType"]) for d in details if "errorType" in d), "")
        reasons = {str(d.get("reason")) for d in details}
        if kind == "LANGUAGE_NOT_SUPPORTED_BY_ATTRIBUTE":
            named = [d.get("languageNotSupportedByAttributeError") for d in details]
            return _Unsupported(next((str(n.get("attribute", "")) for n in named if isinstance(n, dict)), ""))
        told = {
            "LANGUAGE_DETECTION_FAILED": "the service cannot tell the language; set languages",
            "COMMENT_EMPTY": "the text is empty",
            "COMMENT_TOO_LONG": "the text is too long for the service",
        }
        if kind in told:
            return _Refused(told[kind])
        if status in (401, 403) or reasons & {"API_KEY_INVALID", "SERVICE_DISABLED"}:
            return ModelError(f"perspective: the service refused the key (HTTP {status})", f"export {self.config.api_key_env}=...")
        if status == 404:
            return ModelError(f"perspective: nothing is at {self.url}/comments:analyze (HTTP 404)", f"curl {self.url}")
        return _Refused(f"the service refused the request (HTTP {status}{', ' + kind if kind else ''})")

    def _key(self) -> str:
        key = os.environ.get(self.config.api_key_env, "").strip()
        if not key and self.url == OFFICIAL:
            raise ModelError(
                f"perspective: no key: the environment variable {self.config.api_key_env} is empty", f"export {self.config.api_key_env}=..."
            )
        if not all("!" <= letter <= "~" for letter in key):
            raise ModelError(f"perspective: the key in {self.config.api_key_env} holds characters that no key has", "export it again")
        return key


def _opened(request: urllib.request.Request, timeout_s: float) -> urllib.response.addinfourl:
    """The answer, also one that is an HTTP error."""
    try:
        found: urllib.response.addinfourl = urllib.request.urlopen(request, timeout=timeout_s)
        return found
    except urllib.error.HTTPError as error:
        return error


def _json(data: bytes) -> Any:
    try:
        return json.loads(data)
    except (ValueError, RecursionError):
        return None


def _score(answer: Mapping[str, Any], name: str, piece: str) -> tuple[float, list[Span]]:
    """The summary score and the spans of one attribute. Raises _Refused for anything that is no probability."""
    scores = answer.get("attributeScores")
    entry = scores.get(name) if isinstance(scores, dict) else None
    entry = entry if isinstance(entry, dict) else {}
    summary = _probability(entry.get("summaryScore"))
    if summary is None:
        raise _Refused(f"the answer holds no score for {name}")
    listed = [s for s in entry.get("spanScores") or [] if isinstance(s, dict)] if isinstance(entry.get("spanScores"), list) else []
    found = [(s.get("begin"), s.get("end"), _probability(s.get("score"))) for s in listed]
    places = [(a, b, p) for a, b, p in found if isinstance(a, int) and isinstance(b, int) and p is not None and 0 <= a < b]
    table = _unit_table(piece) if any(ord(letter) > 0xFFFF for letter in piece) else None  # places are told in UTF-16 units
    spans = [Span(*_at(a, b, table), p) for a, b, p in places]
    return summary, [s for s in spans if s.start < s.end <= len(piece)]


def _unit_table(text: str) -> list[int]:
    """Character number by UTF-16 unit."""
    table = [number for number, letter in enumerate(text) for _ in range(2 if ord(letter) > 0xFFFF else 1)]
    return [*table, len(text)]


def _at(start: int, end: int, table: list[int] | None) -> tuple[int, int]:
    if table is None:
        return start, end
    last = len(table) - 1
    return table[min(start, last)], table[min(end, last)]


def _probability(value: Any) -> float | None:
    number = value.get("value") if isinstance(value, dict) else None
    return float(number) if isinstance(number, (int, float)) and not isinstance(number, bool) and 0 <= number <= 1 else None
