"""From a configuration to a server that listens, drains when told to stop, and says what it is."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import FrameType
from typing import Any

import uvicorn

from charter.core.errors import InputError
from charter.guard.engine import Guard
from charter.guard.gateway import deadlines
from charter.guard.gateway.app import Gateway, surfaces
from charter.guard.gateway.auditing import Kept, open_kept
from charter.guard.gateway.config import GatewayConfig
from charter.guard.gateway.door import entrance, is_loopback
from charter.guard.gateway.keys import KeyGate
from charter.guard.gateway.metrics import CountedAudit, Metrics
from charter.guard.gateway.observing import MetricsServer, observed
from charter.guard.gateway.pipeline import Services
from charter.guard.gateway.record import Audit
from charter.guard.gateway.reviewing import ReviewSink
from charter.guard.gateway.safety import Safety
from charter.guard.gateway.turned_away import TurnedAway
from charter.guard.gateway.upstream import Upstream
from charter.guard.policy import SEVERITY, STAGES, WITHHOLDS, GuardPolicy, HazardRule, holds
from charter.guard.rails._scores import warm


@dataclass(slots=True)
class Built:
    """A gateway that is ready to listen, and what a person should know of it."""

    gateway: Gateway
    config: GatewayConfig
    guard: Guard
    bypass: tuple[str, ...]
    has_key: bool
    asks_for_keys: bool
    metrics: Metrics | None = None


def build(config: GatewayConfig, *, environ: Mapping[str, str] | None = None, guards: Mapping[str, Guard] | None = None) -> Built:
    """Raises InputError and whatever a guard that cannot be built raises: a gateway never starts with something missing."""
    variables = os.environ if environ is None else environ
    built = dict(guards or {})
    for name, spec in {"": config.guard, **config.guards}.items():
        if name not in built:
            built[name] = Guard(spec)
    warm()
    key = variables.get(config.upstream.key_env, "").strip()
    if any(not ("!" <= letter <= "~") for letter in key):
        raise InputError(
            f"the environment variable {config.upstream.key_env} holds something that is no key", "export it without quotes and line breaks"
        )
    watched = observed(config, built, [*(surface.name for surface in surfaces(config)), "reports"], audit=config.audit.mode)
    audit, kept = _audit(config, variables, watched.metrics)
    gate, table = entrance(config, variables, kept.database if kept is not None else None)
    asks = isinstance(gate, KeyGate) and not gate.optional
    # no text passes by these, so they are told at the start and are no request's bypass
    known = [
        *([gate.bypass] if gate.bypass else []),
        *(["upstream state"] if config.upstream_state else []),
        *([f"audit: {config.audit.mode}"] if config.audit.mode != "strict" else []),
    ]
    weaknesses = [f"guard {name}: {found}" if name else found for name, guard in built.items() for found in guard_bypass(guard)]
    review = ReviewSink(kept.database, config.review, watched.metrics.review_dropped if watched.metrics is not None else None) if kept else None
    reported, told = (watched.metrics.reported, watched.metrics.done) if watched.metrics is not None else (None, None)
    safety = Safety(kept.database, gate, config.review, reported=reported, told=told) if kept else None
    sinks = (*watched.sinks, review) if review is not None else watched.sinks
    turned_away = TurnedAway(watched.metrics.turned_away if watched.metrics else None, kept.audit.turned_away if kept else None)
    services = Services(config, built, Upstream(config.upstream, key), gate, audit=audit, sinks=sinks, turned_away=turned_away)
    gateway = Gateway(
        services,
        routes=[*watched.routes, *(safety.routes if safety is not None else ())],
        ready=kept.ready if kept else (),
        closers=(turned_away.tell, *(kept.closers(review.close) if kept and review else ()), *((table.close,) if table is not None else ())),
        local_only=is_loopback(config.listen.host) and not asks,
    )
    if safety is not None:
        safety.refuse, safety.calls = gateway.refusal, gateway.calls
    if watched.metrics is not None:
        watched.metrics.watch(lambda: len(gateway.calls))
    return Built(gateway, config, built[""], (*known, *weaknesses), bool(key), asks, watched.metrics)


def _audit(config: GatewayConfig, environ: Mapping[str, str], metrics: Metrics | None) -> tuple[Audit | None, Kept | None]:
    if config.audit.mode == "off":
        return None, None
    kept = open_kept(config, environ, metrics.audit_failed if metrics is not None else None)
    return CountedAudit(kept.audit, metrics) if metrics is not None else kept.audit, kept


def guard_bypass(guard: Guard) -> tuple[str, ...]:
    """Everything by which a policy is weaker than its rails could make it, before any request."""
    policy = guard.policy
    found = [f"{stage}: unguarded" for stage in policy.unguarded]
    if policy.media == "allow":
        found.append("media: allow")
    if policy.stream.mode == "async":
        found.append("stream: async")
    for stage in STAGES:
        if stage not in policy.unguarded and not holds(policy, policy.rails(stage)):
            found.append(f"{stage}: only flags")
        for entry in policy.rails(stage):
            found += [f"{stage}: {entry.label}: on_error {entry.on_error}"] if entry.on_error in ("allow", "flag") and not entry.shadow else []
            found += [f"{stage}: {entry.label}: on_unsure {entry.on_unsure}"] if entry.on_unsure in ("allow", "flag") and not entry.shadow else []
    for name, rule in policy.hazards.items():
        found += [f"hazard {name}: {softer}" for softer in _softer(policy, rule)]
    return tuple(found)


def _softer(policy: GuardPolicy, rule: HazardRule) -> list[str]:
    """By what a hazard's rule may let text pass that an acting rail would hold. Which rails name hazards only they know, so all of them count."""
    acting = [entry for stage in STAGES for entry in policy.rails(stage) if not entry.shadow and entry.action != "allow"]
    action, threshold = rule.action, rule.threshold
    found = []
    if action is not None and action not in WITHHOLDS and any(SEVERITY.index(action) < SEVERITY.index(entry.action) for entry in acting):
        found.append(f"action {action}")
    if threshold is not None and any(threshold > entry.threshold for entry in acting):
        found.append(f"threshold {threshold}")
    return found


class Server(uvicorn.Server):
    """Told to stop: readyz says 503 first; then the port closes and requests in work may finish; then what is left ends with an error."""

    def __init__(self, config: uvicorn.Config, built: Built, listening: Callable[[int], None] | None = None) -> None:
        super().__init__(config)
        self._gateway, self._times, self._listening = built.gateway, built.config.shutdown, listening
        self._announced_at: float | None = None
        self._announce_s = built.config.shutdown.announce_s
        #: The port it listens on, once started.
        self.port = 0
        where = built.config.metrics
        self.scraped = MetricsServer(built.metrics, where.host, where.port) if built.metrics is not None and where.port is not None else None

    async def startup(self, sockets: Any = None) -> None:
        await super().startup(sockets)
        self.port = int(self.servers[0].sockets[0].getsockname()[1])
        if self.scraped is not None:
            await self.scraped.start()
        if self._listening is not None:
            self._listening(self.port)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        self._gateway.draining = True
        if sig == signal.SIGINT:  # a person at the keyboard waits for no load balancer
            self._announce_s = 0.0
        super().handle_exit(sig, frame)

    async def on_tick(self, counter: int) -> bool:
        if not await super().on_tick(counter):
            return False
        now = asyncio.get_running_loop().time()
        if self._announced_at is None:
            self._announced_at = now
        return self.force_exit or now - self._announced_at >= self._announce_s

    async def shutdown(self, sockets: Any = None) -> None:
        asyncio.get_running_loop().call_later(self._times.drain_s, self._gateway.stop_all)
        await super().shutdown(sockets)
        if self.scraped is not None:
            await self.scraped.stop()


def server(built: Built, listening: Callable[[int], None] | None = None) -> Server:
    """``listening`` is called with the port once it is open."""
    config = built.config
    return Server(
        uvicorn.Config(
            built.gateway,
            host=config.listen.host,
            port=config.listen.port,
            http=deadlines.protocol(config.limits, built.gateway.services.turned_away),
            loop="uvloop",
            ws="none",
            lifespan="on",
            log_config=None,
            access_log=False,
            proxy_headers=False,
            server_header=False,
            timeout_keep_alive=int(config.limits.keepalive_s) or 1,
            # survivors are told by the gateway after drain_s; this is only for what does not even end then
            timeout_graceful_shutdown=int(config.shutdown.drain_s) + 5,
        ),
        built,
        listening,
    )
