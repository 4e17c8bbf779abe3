"""What Prometheus can ask the gateway: counts and times of requests, rails and failures. Labels are bounded; none holds a key, a person or a text.

One registry per object, so that two gateways in one process do not share counts. Run one process per container, or scrape each on its own port.
"""

from __future__ import annotations

import platform
from collections.abc import Callable, Collection, Hashable, Iterable
from typing import Any, Literal, NamedTuple

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, make_asgi_app
from prometheus_client.metrics import MetricWrapperBase

from charter.guard.decision import Account, Checked
from charter.guard.gateway.record import Audit, AuditError, Exchange

#: Where a name goes that is not known, or that came after the cap.
OTHER = "other"
#: The endpoint of what is turned away before there is a request.
NONE = "none"
_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0)
_QUICK = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.015, 0.025, 0.05, 0.09, 0.15, 0.25, 0.5, 1.0, 2.5, 10.0)
#: Outcomes after which the model server has shown that it knows the model's name.
_ANSWERED = ("allowed", "flagged", "masked", "bypassed")
#: Ends of rails' runs whose counters are kept at hand.
_MOST_TOLD = 4096
_REFUSALS = {1.0: "full", 0.5: "partial"}


class Spec(NamedTuple):
    """One metric: what the registry, the page of the manual and the test of the dashboard are made from."""

    name: str
    kind: Literal["counter", "gauge", "histogram"]
    labels: tuple[str, ...]
    help: str
    buckets: tuple[float, ...] = ()


SPECS = (
    Spec("charter_requests_total", "counter", ("endpoint", "model", "outcome"), "Requests by how they ended"),
    Spec("charter_request_duration_seconds", "histogram", ("endpoint", "streamed"), "From a request's first byte to its answer's last", _SECONDS),
    Spec("charter_time_to_first_chunk_seconds", "histogram", ("endpoint",), "From a request's first byte to its stream's first text", _SECONDS),
    Spec("charter_gateway_overhead_seconds", "histogram", ("endpoint",), "Time of a request that was not spent on the model server", _QUICK),
    Spec("charter_inflight_requests", "gauge", (), "Requests in the gateway now"),
    Spec("charter_errors_total", "counter", ("endpoint", "code"), "Error codes sent to clients; endpoint none: turned away without a request"),
    Spec(
        "charter_guard_decisions_total",
        "counter",
        ("guard", "stage", "category", "action", "mode", "policy"),
        "What rails asked for in each check; mode shadow: would have",
    ),
    Spec(
        "charter_guard_runs_total",
        "counter",
        ("guard", "stage", "status"),
        "Rails by how their run ended, parts of streams included; failed and timeout are no verdicts",
    ),
    Spec("charter_guard_duration_seconds", "histogram", ("guard", "stage"), "Time of a rail that gave a verdict, cached ones left out", _QUICK),
    Spec(
        "charter_guard_checks_total",
        "counter",
        ("stage", "action", "policy"),
        "Checks by their decision, as the audit log has them; a stream's parts are left out",
    ),
    Spec("charter_guard_bypass_total", "counter", ("guard", "reason"), "Requests of which text passed that should have been checked and was not"),
    Spec("charter_stream_holdback_seconds", "histogram", (), "Longest time that a piece of a stream was held back", _SECONDS),
    Spec("charter_model_refusals_total", "counter", ("model", "kind"), "Replies that a refusal rail saw decline; the default guard has none"),
    Spec("charter_reports_total", "counter", ("category",), "Reports from people, by category"),
    Spec("charter_audit_write_failures_total", "counter", (), "Audit rows that could not be written"),
    Spec("charter_review_rows_dropped_total", "counter", (), "Checks and answers that were not kept for review"),
    Spec("charter_policy_info", "gauge", ("policy", "stream_mode", "audit"), "The guard in use; always 1"),
    Spec("charter_build_info", "gauge", ("version", "python"), "What runs; always 1"),
)


class Names:
    """Values of one label. ``known`` ones always keep their name; others are learnt, at most ``most``, and are ``other`` after that.

    Names that clients send are learnt only once something else has vouched for them, so that nobody can fill the label with junk.
    """

    def __init__(self, known: Iterable[str] = (), most: int = 50) -> None:
        self._kept = {name: name for name in known}
        self._room = most

    def __call__(self, name: str, *, learn: bool = False) -> str:
        found = self._kept.get(name)
        if found is not None or not name:
            return found or OTHER
        if not learn or self._room <= 0:
            return OTHER
        self._room -= 1
        return self._kept.setdefault(name, name[:64])


class Metrics:
    """A Sink that counts. ``endpoints``: names of the surfaces that are served. ``models``: names that are served for sure, if they are known.

    Cheap on the hot path: a metric's child is looked up once per combination of labels, which are bounded.
    """

    def __init__(self, endpoints: Collection[str] = (), models: Collection[str] = (), *, version: str = "", most_models: int = 50) -> None:
        self.registry = CollectorRegistry()
        self._made: dict[str, MetricWrapperBase] = {spec.name: _make(spec, self.registry) for spec in SPECS}
        self._children: dict[tuple[str, ...], Any] = {}
        self._told: dict[Hashable, tuple[Any, Any, Any]] = {}
        self._endpoints, self._models = Names(endpoints, 0), Names(models, most_models)
        self._codes, self._labels = Names(most=64), Names(most=256)
        self._child("charter_audit_write_failures_total")
        self._child("charter_review_rows_dropped_total")
        self._child("charter_build_info", version, platform.python_version()).set(1)
        self.app = make_asgi_app(self.registry)

    def describe(self, policy: str, stream_mode: str, audit: str) -> None:
        """Say which guard runs, so that a bypass (``stream_mode: async``, ``audit: relaxed``) shows wherever metrics do."""
        self._child("charter_policy_info", self._labels(policy, learn=True), stream_mode, audit).set(1)

    def watch(self, inflight: Callable[[], int]) -> None:
        """``inflight`` says how many requests are in the gateway, whenever somebody scrapes."""
        self._child("charter_inflight_requests").set_function(inflight)

    def audit_failed(self, rows: int = 1) -> None:
        """Rows of the audit log were lost or withheld."""
        self._child("charter_audit_write_failures_total").inc(rows)

    def review_dropped(self, rows: int) -> None:
        """Rows for people found no place in the queue or in the database."""
        self._child("charter_review_rows_dropped_total").inc(rows)

    def turned_away(self, code: str) -> None:
        """A connection, or a request to no endpoint, was answered with an error."""
        self._child("charter_errors_total", NONE, self._codes(code, learn=True)).inc()

    def reported(self, category: str) -> None:
        """A person reported a reply."""
        self._child("charter_reports_total", self._labels(category, learn=True)).inc()

    def done(self, exchange: Exchange) -> None:
        """Count one request at its end."""
        endpoint = self._endpoints(exchange.endpoint)
        model = self._models(exchange.model, learn=exchange.outcome in _ANSWERED)
        self._child("charter_requests_total", endpoint, model, exchange.outcome).inc()
        if exchange.code:
            self._child("charter_errors_total", endpoint, self._codes(exchange.code, learn=True)).inc()
        self._times(endpoint, exchange)
        checks = (*exchange.inputs, *exchange.outputs)
        for checked in checks:
            self._checked(checked, model)
        for account in exchange.parts:
            self._count(account)
        for name in dict.fromkeys([*exchange.bypass, *(name for checked in checks if checked.passes for name in checked.bypass)]):
            self._bypass(name)

    def _times(self, endpoint: str, exchange: Exchange) -> None:
        streamed = "true" if exchange.streamed else "false"
        self._child("charter_request_duration_seconds", endpoint, streamed).observe(exchange.total_ms / 1000)
        self._child("charter_gateway_overhead_seconds", endpoint).observe(max(0.0, exchange.total_ms - exchange.upstream_ms) / 1000)
        if exchange.first_chunk_ms is not None:
            self._child("charter_time_to_first_chunk_seconds", endpoint).observe(exchange.first_chunk_ms / 1000)
        if exchange.held_ms is not None:
            self._child("charter_stream_holdback_seconds").observe(exchange.held_ms / 1000)

    def _checked(self, checked: Checked, model: str) -> None:
        policy = self._labels(checked.policy, learn=True)
        self._child("charter_guard_checks_total", checked.stage, checked.action, policy).inc()
        for account in checked.accounts:
            self._count(account, policy)
            kind = _REFUSALS.get(account.score or 0.0) if account.kind == "refusal" and account.stage == "output" and account.status == "ok" else None
            if kind is not None:
                self._child("charter_model_refusals_total", model, kind).inc()

    def _count(self, account: Account, policy: str | None = None) -> None:
        """How the run of a rail ended, and, of a check under ``policy``, what it asked for."""
        key = (account.rail, account.stage, account.status, account.action, account.hazards[:1], account.shadow, account.cached, policy)
        counted = self._told.get(key)
        if counted is None:
            counted = self._counted(account, policy)
            if len(self._told) < _MOST_TOLD:
                self._told[key] = counted
        runs, asked, duration = counted
        runs.inc()
        if asked is not None:
            asked.inc()
        if duration is not None:
            duration.observe(account.latency_ms / 1000)

    def _counted(self, account: Account, policy: str | None) -> tuple[Any, Any, Any]:
        guard = self._labels(account.rail, learn=True)
        runs, asked, duration = self._child("charter_guard_runs_total", guard, account.stage, account.status), None, None
        if policy is not None and account.status not in ("cancelled", "skipped"):  # those asked for nothing
            category = self._labels(account.hazards[0], learn=True) if account.hazards else "none"
            mode = "shadow" if account.shadow else "enforce"
            asked = self._child("charter_guard_decisions_total", guard, account.stage, category, account.action, mode, policy)
        if account.status == "ok" and not account.cached:
            duration = self._child("charter_guard_duration_seconds", guard, account.stage)
        return runs, asked, duration

    def _bypass(self, name: str) -> None:
        """``rail: why`` or a bare word for what belongs to no rail (``media``, ``unguarded``)."""
        guard, colon, reason = name.partition(": ")
        words = (guard, reason.split(" ")[0]) if colon else ("none", name)
        self._child("charter_guard_bypass_total", *(self._labels(word, learn=True) for word in words)).inc()

    def _child(self, name: str, *values: str) -> Any:
        key = (name, *values)
        child = self._children.get(key)
        if child is None:
            metric = self._made[name]
            child = self._children[key] = metric.labels(*values) if values else metric
        return child


class CountedAudit:
    """An audit log whose failures are counted."""

    def __init__(self, audit: Audit, metrics: Metrics) -> None:
        self._audit, self._metrics = audit, metrics

    async def decided(self, exchange: Exchange, checked: Checked, stage: str, *, hurried: bool = True) -> None:
        try:
            await self._audit.decided(exchange, checked, stage, hurried=hurried)
        except AuditError:
            self._metrics.audit_failed()
            raise

    async def done(self, exchange: Exchange) -> None:
        try:
            await self._audit.done(exchange)
        except AuditError:
            self._metrics.audit_failed()
            raise

    async def going_on(self) -> None:
        try:
            await self._audit.going_on()
        except AuditError:
            self._metrics.audit_failed()
            raise


def _make(spec: Spec, registry: CollectorRegistry) -> MetricWrapperBase:
    if spec.kind == "histogram":
        return Histogram(spec.name, spec.help, spec.labels, registry=registry, buckets=spec.buckets)
    if spec.kind == "gauge":
        return Gauge(spec.name, spec.help, spec.labels, registry=registry)
    return Counter(spec.name, spec.help, spec.labels, registry=registry)
