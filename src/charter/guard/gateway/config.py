"""``gateway.yaml``: where the gateway listens, what stands behind it, its deadlines and bounds. Strict keys; every key may be left out."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, field_validator

from charter.core.config import Config, parse, read_yaml
from charter.core.errors import InputError
from charter.guard._beside import placed
from charter.guard.policy import shipped

Seconds = Annotated[float, Field(gt=0.0, le=86_400.0)]
Count = Annotated[int, Field(ge=1)]
_SQLITE = "sqlite:///"
_HINT = "docs/gateway.md explains every key"


class Listen(Config):
    """Where clients come in."""

    host: str = Field(default="127.0.0.1", description="address to listen on; anything but loopback needs keys, or open: true")
    port: int = Field(default=8700, ge=0, le=65_535, description="0 takes a free one")
    open: bool = Field(default=False, description="let everybody in who reaches the port, without keys (a bypass)")


class Upstream(Config):
    """The model server."""

    url: str = Field(default="http://127.0.0.1:8000/v1", description="base URL, as the openai SDK takes it: what stands before /chat/completions")
    key_env: str = Field(default="OPENAI_API_KEY", description="environment variable that holds its key; the client's is never sent on")
    headers: dict[str, str] = Field(default={}, description="sent with every request; for secrets use key_env")
    connections: Count = Field(default=512, description="most connections at once")
    connect_s: Seconds = Field(default=5.0, description="time to connect")
    first_byte_s: Seconds = Field(default=120.0, description="time until its answer begins")
    idle_s: Seconds = Field(default=60.0, description="time between two pieces of an answer")
    max_answer_bytes: Count = Field(default=32 << 20, description="longest whole answer")
    max_event_bytes: Count = Field(default=4 << 20, description="longest event of a stream")

    @field_validator("url")
    @classmethod
    def _is_http(cls, url: str) -> str:
        if not url.startswith(("http://", "https://")) or "@" in url or any(c in url for c in "?# \r\n"):
            raise ValueError("must be a plain http:// or https:// URL without user, query or fragment")
        return url.rstrip("/")


class Limits(Config):
    """What one client, and all together, may take."""

    requests: Count = Field(default=256, description="requests in work at once; more get 503 and Retry-After at once")
    connections: Count = Field(default=2048, description="client connections at once; more are closed")
    body_bytes: Count = Field(default=20 << 20, description="longest request body")
    values: Count = Field(default=20_000, description="most values in a request's body: messages, parts, fields, each element of a list")
    header_bytes: Count = Field(default=64 << 10, description="longest request head")
    choices: Count = Field(default=16, description="most choices (n) of one request")
    prompts: Count = Field(default=256, description="most prompts of one request")
    header_s: Seconds = Field(default=10.0, description="time for a request's head")
    body_s: Seconds = Field(default=30.0, description="time for a request's body")
    keepalive_s: Seconds = Field(default=15.0, description="time a connection may be idle between requests")
    stalled_s: Seconds = Field(default=60.0, description="time a client may not read what is sent")
    total_s: Seconds = Field(default=600.0, description="time for a whole request, streams too")


class Shutdown(Config):
    """What happens after SIGTERM: readyz says 503 first, then nobody new comes in, then those in work may finish."""

    announce_s: float = Field(default=2.0, ge=0.0, description="time between readyz turning 503 and the port closing")
    drain_s: Seconds = Field(default=30.0, description="time for requests in work; what is left then ends with an error")


class MetricsListen(Config):
    """Where Prometheus scrapes. Without a port of their own, metrics are at /metrics beside the API, without a key: they hold no text and no key."""

    enabled: bool = Field(default=True, description="serve metrics")
    host: str = Field(default="127.0.0.1", description="address of the port of their own")
    port: int | None = Field(default=None, ge=0, le=65_535, description="a port of their own; leave out for /metrics beside the API")


class DatabaseConfig(Config):
    """Where audit, keys, reports and the queue for people are. Several gateways may share one."""

    url: str = Field(
        default="",
        description="a SQLite file, looked up beside this file, or postgresql://USER@HOST/NAME; left out: see url_env, else one in the state folder",
    )
    url_env: str = Field(default="CHARTER_DATABASE_URL", description="environment variable that holds the URL, used where url is left out")
    password_file_env: str = Field(default="CHARTER_DATABASE_PASSWORD_FILE", description="environment variable that names a file with the password")


class AuditConfig(Config):
    """The audit log: one row for every decision and one for every request; no text."""

    mode: Annotated[Literal["strict", "relaxed", "off"], BeforeValidator(lambda given: "off" if given is False else given)] = Field(
        default="strict", description="strict: nothing leaves before its row is on the disk; relaxed: rows may be lost; off: none (both are bypasses)"
    )
    key_env: str = Field(default="CHARTER_AUDIT_KEY", description="environment variable with a key for the chain's hashes (HMAC); may be unset")
    anchor: str = Field(
        default="", description="file, looked up beside this file, to which the chain's head is appended once a minute; keep it elsewhere"
    )
    wait_s: Seconds = Field(default=5.0, description="strict: how long a row may take before what it tells of is withheld")
    queue: Count = Field(default=10_000, description="rows that may wait; more are refused at once")


class KeysConfig(Config):
    """Who may come in: keys made by ``charter keys add``. Asked for wherever another machine can reach the port, there are ``guards`` for keys, or
    a key was ever made (revoked ones count), unless ``listen.open``."""

    required: bool = Field(default=False, description="ask for keys on loopback too, whatever there is; wins over listen.open")
    pepper_env: str = Field(
        default="CHARTER_KEY_PEPPER", description="environment variable with a secret that is hashed with every key; another secret, other keys"
    )
    refresh_s: Seconds = Field(default=2.0, description="keys are read again so often: a revoked one is out within twice that")
    stale_s: Seconds = Field(default=60.0, description="while the database cannot be asked, keys hold for so long; then nobody comes in")


class ReviewConfig(Config):
    """What people get to see, and for how long its text is kept. In the gateway's database, so not where the audit log is off."""

    keep_days: float = Field(default=30.0, gt=0.0, le=3650.0, description="texts of escalated, flagged, sampled and reported checks are kept so long")
    keep_answers_hours: float = Field(
        default=0.0, ge=0.0, le=8760.0, description="keep the text of every answer for so long, so that reports about it can be looked into; 0: none"
    )
    reports_per_minute: Count = Field(default=600, description="reports and feedback of one key")
    reports_per_reporter: Count = Field(default=10, description="reports and feedback of one reporter, in a minute")


class GatewayConfig(Config):
    """The whole of ``gateway.yaml``."""

    listen: Listen = Listen()
    upstream: Upstream = Upstream()
    guard: str = Field(default="default", description="guard.yaml, looked up beside this file, or the name of a shipped one")
    guards: dict[str, str] = Field(default={}, description="further guards by name, for keys that have their own")
    on_block: Literal["error", "refusal"] = Field(default="error", description="blocked requests: 400 content_filter, or 200 with a refusal")
    refusal_in_content: bool = Field(
        default=False, description="also put refusals where a reply's text stands, for clients that know no refusal field"
    )
    strict_fields: bool = Field(default=False, description="refuse request fields that the surface does not know")
    annotations: Literal["none", "azure"] = Field(
        default="none", description="annotations beside chat completions, as Azure writes them; a client may ask with x-guard-annotations: azure"
    )
    upstream_state: bool = Field(
        default=False,
        description="let requests go on from state that only the upstream can read (previous_response_id, conversation, audio.id): a bypass",
    )
    heartbeat_s: Seconds = Field(default=10.0, description="a comment is sent when a stream is silent for so long")
    limits: Limits = Limits()
    shutdown: Shutdown = Shutdown()
    metrics: MetricsListen = MetricsListen()
    database: DatabaseConfig = DatabaseConfig()
    audit: AuditConfig = AuditConfig()
    keys: KeysConfig = KeysConfig()
    review: ReviewConfig = ReviewConfig()
    telemetry: bool = Field(default=False, description="OpenTelemetry spans and events, through the SDK that the process has set up")


#: What the command line calls a key.
_FLAGS = {"upstream.url": "upstream", "listen.port": "port", "listen.host": "host"}


def load_config(path: str | Path | None, overrides: dict[str, Any] | None = None) -> GatewayConfig:
    """The file at ``path`` (None: all defaults), with ``overrides`` by dotted key (None: not given). Guards, a SQLite file and an anchor that have a
    relative path there lie beside it. Raises InputError with a line per mistake."""
    given = {key: value for key, value in (overrides or {}).items() if value is not None}
    if path is None:
        return _overridden(GatewayConfig(), given)
    file = Path(path).expanduser()
    document = read_yaml(file)
    if document.data is None:
        raise InputError(f"{document.name}: is empty", "leave --config out for the defaults")
    config = _beside(parse(GatewayConfig, document, _HINT), file.absolute().parent)
    return _overridden(config, given)


def _beside(config: GatewayConfig, folder: Path) -> GatewayConfig:
    """With full paths: one meaning, wherever the gateway and the commands that look after its database are started."""
    guards = {name: placed(spec, folder, shipped()) for name, spec in config.guards.items()}
    found: dict[str, Any] = {"guard": placed(config.guard, folder, shipped()), "guards": guards}
    there = folder.resolve()  # by whichever way the file was named, its database is told by one name
    found["database"] = config.database.model_copy(update={"url": _database(config.database.url, there)})
    if config.audit.anchor:
        found["audit"] = config.audit.model_copy(update={"anchor": str(there / Path(config.audit.anchor).expanduser())})
    return config.model_copy(update=found)


def _database(url: str, folder: Path) -> str:
    """``url`` as it is where it names no file, none at all, or one by its full path."""
    prefix, file = (_SQLITE, url.removeprefix(_SQLITE)) if url.startswith(_SQLITE) else ("", url)
    if not file or "://" in file or file.startswith((":memory:", "~")) or Path(file).is_absolute():
        return url
    return f"{prefix}{folder / file}"


def _overridden(config: GatewayConfig, given: dict[str, Any]) -> GatewayConfig:
    data = config.model_dump()
    for dotted, value in given.items():
        *parents, last = dotted.split(".")
        place = data
        for name in parents:
            place = place[name]
        place[last] = value
    try:
        return GatewayConfig.model_validate(data)
    except ValueError as error:
        first = error.errors()[0] if hasattr(error, "errors") else {"loc": (), "msg": str(error)}
        key, message = ".".join(map(str, first["loc"])), str(first["msg"]).removeprefix("Value error, ")
        if key not in given:
            raise InputError(f"{key}: {message}" if key else message, _HINT) from None
        flag, value = f"--{_FLAGS.get(key, key)}", str(given[key])
        plain = key == "upstream.url" and not any(mark in value for mark in "@?# ") and "://" not in value
        shown = f" {value!r}" if "@" not in value and "?" not in value else ""  # a password may stand before the one, a key after the other
        again = f"charter serve {flag} http://{value.removesuffix('/').removesuffix('/v1')}/v1" if plain else "charter serve --help"
        raise InputError(f"{flag}{shown}: {message}", again) from None
