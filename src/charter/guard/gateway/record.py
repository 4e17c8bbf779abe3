"""What the gateway knows of one request when it is over, and who is told: audit, metrics, telemetry, review. Never holds text."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, Protocol

from charter.guard.decision import Account, Checked, strictest

#: allowed, flagged, masked: the answer went out. blocked, escalated: rails withheld the request or a reply. unavailable: rails or audit failed, so
#: it was withheld. rejected: never reached a rail (key, limit, malformed). upstream_error: the model server failed. disconnected: the client left.
#: bypassed: it went out although something that should have checked it did not, because the policy says so.
Outcome = Literal["allowed", "flagged", "masked", "blocked", "escalated", "unavailable", "rejected", "upstream_error", "disconnected", "bypassed"]


@dataclass(slots=True)
class Exchange:
    """One request from its first byte to its last. Filled in as it goes; told once, at its end. Times are milliseconds."""

    request_id: str
    decision_id: str
    endpoint: str
    began_unix_s: float
    model: str = ""
    key: str = ""  # the key's public name, never the key
    policy: str = ""
    response_id: str = ""  # the answer's own id, as its body has it and the client sees it; '' if it has none that is a plain name
    traceparent: str = ""  # the client's trace, as its header has it
    streamed: bool = False
    outcome: Outcome = "rejected"
    status: int = 0
    code: str = ""  # error code sent, '' if none
    inputs: list[Checked] = field(default_factory=list)
    outputs: list[Checked] = field(default_factory=list)
    choices: list[tuple[Checked, int]] = field(default_factory=list)  # of those in ``outputs`` that are of a choice: which one
    replies: dict[int, Checked] = field(default_factory=dict)  # of the choices that went out, whole or broken off: a check with the text that did
    parts: list[Account] = field(default_factory=list)  # rails on parts of streams that passed, and are not in ``outputs``
    bypass: list[str] = field(default_factory=list)
    blocked_by: list[str] = field(default_factory=list)  # why something was withheld that no check withheld: it could not be masked, grew too long
    total_ms: float = 0.0
    upstream_ms: float = 0.0  # from asking the model server to its answer's last byte; a stream's checks run beside it
    input_ms: float = 0.0
    first_chunk_ms: float | None = None
    held_ms: float | None = None  # longest that a piece of a stream was held back

    def heard(self, checked: Checked, choice: int | None) -> None:
        """A check of what the model server said; ``choice`` is None for an error of its own."""
        self.outputs.append(checked)
        if choice is not None:
            self.choices.append((checked, choice))

    def choice_of(self, checked: Checked) -> int | None:
        """Which choice a check is of; None for a request or an error."""
        return next((choice for each, choice in self.choices if each is checked), None)


def settle_outcome(exchange: Exchange) -> None:
    """What became of a request that was answered: the strictest of its checks. Errors have said theirs already."""
    checks = [*exchange.inputs, *exchange.outputs]
    exchange.bypass = list(dict.fromkeys([*exchange.bypass, *(name for checked in checks if checked.passes for name in checked.bypass)]))
    action = "block" if exchange.blocked_by else strictest(checked.action for checked in checks)
    told: dict[str, Outcome] = {"block": "blocked", "escalate": "escalated", "mask": "masked", "flag": "flagged", "allow": "allowed"}
    exchange.outcome = "bypassed" if exchange.bypass and action in ("allow", "flag", "mask") else told[action]


class Sink(Protocol):
    """Somebody who is told of every request once, at its end. Must not block and must not raise."""

    def done(self, exchange: Exchange) -> None: ...


class Audit(Protocol):
    """The audit log as the pipeline sees it."""

    async def decided(self, exchange: Exchange, checked: Checked, stage: str, *, hurried: bool = True) -> None:
        """Returns when the row is durable (mode strict) or queued (relaxed). Raises AuditError when it cannot be written and the mode is strict:
        the caller must withhold what was decided on. ``hurried``: no other row of the request comes soon that this one could be written with."""
        ...

    async def done(self, exchange: Exchange) -> None:
        """The closing row of a request. As ``decided``."""
        ...

    async def going_on(self) -> None:
        """Asked before more of a stream leaves. In mode strict it returns only if the log took a row within ``wait_s``, and raises AuditError if it
        takes none for as long again: then nothing more may leave."""
        ...


class AuditError(Exception):
    """The audit log cannot be written."""
