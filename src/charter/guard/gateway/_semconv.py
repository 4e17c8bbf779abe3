"""The names that OpenTelemetry's conventions give to things. All of them are still in development there, so they stand here and nowhere else.

Source: open-telemetry/semantic-conventions-genai (state of November 2026). Conventions for guardrails are not merged there; what they would name is
under ``charter.`` until they are.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

OPERATION = "gen_ai.operation.name"
REQUEST_MODEL = "gen_ai.request.model"
EVALUATION_EVENT = "gen_ai.evaluation.result"
EVALUATION_NAME = "gen_ai.evaluation.name"
EVALUATION_SCORE = "gen_ai.evaluation.score.value"
EVALUATION_LABEL = "gen_ai.evaluation.score.label"
HTTP_STATUS = "http.response.status_code"
HTTP_ROUTE = "http.route"
ERROR_TYPE = "error.type"

REQUEST_ID = "charter.request.id"
DECISION_ID = "charter.decision.id"
OUTCOME = "charter.outcome"
STREAMED = "charter.streamed"
BYPASS = "charter.bypass"
POLICY = "charter.guard.policy"
STAGE = "charter.guard.stage"
ACTION = "charter.guard.action"
STATUS = "charter.guard.status"
MODE = "charter.guard.mode"
HAZARDS = "charter.guard.hazards"
THRESHOLD = "charter.guard.threshold"
DURATION_MS = "charter.guard.duration_ms"

#: What the conventions call the operation of each surface, by a part of the surface's name; others have none.
OPERATIONS: Mapping[str, str] = MappingProxyType(
    {"chat": "chat", "responses": "chat", "messages": "chat", "completions": "text_completion", "embeddings": "embeddings"}
)


def operation(endpoint: str) -> str:
    """The operation of a surface, or '' if the conventions have no name for it."""
    return next((name for part, name in OPERATIONS.items() if part in endpoint), "")
