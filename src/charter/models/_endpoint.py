"""MODEL@URL, taken apart and checked: such a text is stored with every row, so it must never carry a secret."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import urlsplit

from charter.core.errors import InputError

if TYPE_CHECKING:
    from openai import AsyncOpenAI, OpenAI

OFFICIAL = "https://api.openai.com/v1"
SAMPLE = "openai:MODEL@http://localhost:8000/v1"
KEY, BASE_URL = "OPENAI_API_KEY", "OPENAI_BASE_URL"


class Endpoint(NamedTuple):
    name: str
    url: str

    @property
    def spec(self) -> str:
        """With the URL in it wherever it came from, so that equal specs are equal models."""
        return f"openai:{self.name}" + ("" if self.url == OFFICIAL else f"@{self.url}")

    @property
    def is_openai(self) -> bool:
        """Whether OpenAI runs the server, and nobody on the way can read what is sent."""
        parts = urlsplit(self.url)
        return parts.scheme == "https" and f".{parts.hostname}".endswith(".api.openai.com")

    @property
    def key_variable(self) -> str:
        """The environment variable whose key this server is sent without being told: OPENAI_API_KEY goes to OpenAI, and to the one server that
        OPENAI_BASE_URL names beside it. '' for any other: whoever runs it would have the key."""
        return KEY if self.is_openai or self.url == os.environ.get(BASE_URL, "").rstrip("/") else ""

    def strip(self, client: OpenAI | AsyncOpenAI) -> None:
        """Take from the client what it read from OPENAI_ORG_ID, OPENAI_PROJECT_ID and OPENAI_CUSTOM_HEADERS, unless this server is sent OpenAI's key
        too: it names an account, and headers may hold a password."""
        if not self.key_variable:
            client.organization = client.project = None
            client._custom_headers = {}  # the only way: every copy of a client reads the environment again


def endpoint(argument: str, default_url: str = "") -> Endpoint:
    """Split MODEL@URL. Raises InputError for a URL that is no URL, or that carries a password or a query."""
    found = re.fullmatch(r"(?P<name>.+?)@(?P<url>https?://.*)", argument)
    name = found["name"] if found else argument
    url = (found["url"] if found else default_url or OFFICIAL).rstrip("/")
    tail = name.rpartition("@")[2] if "@" in name else ""
    if not name or name.startswith("@") or "://" in name or re.search(r"[:/]|^localhost$", tail):
        raise InputError(f"openai:{_safe(argument)}: write openai:MODEL@URL, the URL with http:// or https://", SAMPLE)
    try:
        parts = urlsplit(url)
        usable = parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port or 1) > 0
    except ValueError:
        usable = False
    if not usable:
        raise InputError(f"openai:{name}: {_safe(url)!r} is not a URL of a server", SAMPLE)
    if "@" in parts.netloc or parts.query or parts.fragment:
        raise InputError(
            f"openai:{name}: the URL of {parts.hostname} must hold no password, query or fragment",
            f"put the key into a variable: {with_key(name, SAMPLE.partition('@')[2])}",
        )
    return Endpoint(name, url)


def with_key(name: str, url: str) -> str:
    """How a person names the key of a server."""
    return f"'openai: {{model: \"{name}@{url}\", api_key_env: MY_KEY}}'"


def _safe(text: str) -> str:
    """Without what may be a password or a key."""
    return re.sub(r"//.*@", "//***@", text.partition("?")[0])
