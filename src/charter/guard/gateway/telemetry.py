"""OpenTelemetry: a span for every request and its part at the model server, an event for every rail's verdict. Never a text, never a key.

Speaks through the API alone: without an SDK and an exporter, which the person who runs the gateway configures, all of it is nothing.
"""

from __future__ import annotations

import logging
from typing import Any

from charter.guard.decision import Account, Checked
from charter.guard.gateway import _semconv as names
from charter.guard.gateway.record import Exchange

_log = logging.getLogger("charter.gateway")
_NAME = "charter.guard.gateway"
_NS_IN_MS = 1_000_000
_GUARD_FAULTS = ("unavailable", "upstream_error")


class Telemetry:
    """A Sink that makes spans and events. ``tracers`` and ``loggers`` are providers; None takes what the process has set up.

    Raises ImportError without the package ``opentelemetry-api`` (extra ``serve``).
    """

    def __init__(self, tracers: Any = None, loggers: Any = None, *, version: str = "") -> None:
        from opentelemetry import trace
        from opentelemetry._logs import get_logger

        self._trace = trace
        self._tracer = trace.get_tracer(_NAME, version or None, tracers)
        self._logger = get_logger(_NAME, version, loggers)

    def done(self, exchange: Exchange) -> None:
        """Tell of one request at its end. A telemetry that fails is logged and harms no request."""
        try:
            self._tell(exchange)
        except Exception as error:
            _log.warning("telemetry of a request was lost: %s", type(error).__name__)

    def _tell(self, exchange: Exchange) -> None:
        began = int(exchange.began_unix_s * 1e9)
        ended = began + int(exchange.total_ms * _NS_IN_MS)
        kinds = self._trace.SpanKind
        route = f"{names.operation(exchange.endpoint) or 'request'} {exchange.endpoint}"
        span = self._tracer.start_span(
            route, context=_parent(exchange.traceparent), kind=kinds.SERVER, start_time=began, attributes=_attributes(exchange)
        )
        inside = self._trace.set_span_in_context(span)
        self._model(exchange, inside, began)
        for checked in (*exchange.inputs, *exchange.outputs):
            self._checked(checked, inside, ended)
        if exchange.outcome in _GUARD_FAULTS:
            span.set_status(self._trace.StatusCode.ERROR, exchange.outcome)
            span.set_attribute(names.ERROR_TYPE, exchange.code or exchange.outcome)
        span.end(ended)

    def _model(self, exchange: Exchange, inside: Any, began_ns: int) -> None:
        """The part at the model server, which begins when the request's checks are over."""
        operation = names.operation(exchange.endpoint)
        if not operation or exchange.upstream_ms <= 0:
            return
        start = began_ns + int(exchange.input_ms * _NS_IN_MS)
        attributes = {names.OPERATION: operation, names.REQUEST_MODEL: exchange.model}
        kind = self._trace.SpanKind.CLIENT
        call = self._tracer.start_span(f"{operation} {exchange.model}", context=inside, kind=kind, start_time=start, attributes=attributes)
        call.end(start + int(exchange.upstream_ms * _NS_IN_MS))

    def _checked(self, checked: Checked, inside: Any, at_ns: int) -> None:
        for account in checked.accounts:
            if account.status not in ("cancelled", "skipped"):
                self._logger.emit(timestamp=at_ns, context=inside, event_name=names.EVALUATION_EVENT, attributes=_evaluation(account, checked.policy))


def _attributes(exchange: Exchange) -> dict[str, Any]:
    found: dict[str, Any] = {
        names.REQUEST_ID: exchange.request_id,
        names.DECISION_ID: exchange.decision_id,
        names.HTTP_ROUTE: exchange.endpoint,
        names.HTTP_STATUS: exchange.status,
        names.OUTCOME: exchange.outcome,
        names.STREAMED: exchange.streamed,
        names.POLICY: exchange.policy,
    }
    if exchange.bypass:
        found[names.BYPASS] = tuple(exchange.bypass)
    return found


def _evaluation(account: Account, policy: str) -> dict[str, Any]:
    """A failed rail has no score: it must not look like one that found nothing."""
    found: dict[str, Any] = {
        names.EVALUATION_NAME: account.rail,
        names.EVALUATION_LABEL: account.action if account.status == "ok" else account.status,
        names.STAGE: account.stage,
        names.ACTION: account.action,
        names.STATUS: account.status,
        names.MODE: "shadow" if account.shadow else "enforce",
        names.POLICY: policy,
        names.DURATION_MS: account.latency_ms,
    }
    if account.score is not None:
        found[names.EVALUATION_SCORE] = account.score
        found[names.THRESHOLD] = account.threshold
    if account.hazards:
        found[names.HAZARDS] = account.hazards
    return found


def _parent(traceparent: str) -> Any:
    """The client's trace, from its W3C header; a broken header is no trace."""
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

    return TraceContextTextMapPropagator().extract({"traceparent": traceparent}) if traceparent else None
