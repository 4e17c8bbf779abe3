"""Secrets: keys, tokens, passwords and private keys, by their published forms and by the look of what stands after a telling name. Can mask them."""

from __future__ import annotations

import math
import re
from collections import Counter

from pydantic import Field

from charter.core.config import Config as BaseConfig
from charter.core.rows import Conversation, Verdict
from charter.guard.policy import Stage
from charter.guard.rails._private_key import find_private_keys
from charter.guard.rails._said import Found, say_found
from charter.guard.segments import view

NOT_COVERED = (
    "Secrets without a form and without a telling name (a password in a sentence), secrets cut in pieces or encoded, and new providers' forms."
)
COST = "instant"
MASKS = True
CALIBRATES = False
#: Published forms of providers' keys: kind, pattern. Group 1, where there is one, is the secret itself.
FORMS: tuple[tuple[str, re.Pattern[str]], ...] = tuple(
    (kind, re.compile(pattern))
    for kind, pattern in (
        ("AWS_KEY", r"\b(?:AKIA|ASIA|ABIA|ACCA)[A-Z2-7]{16}\b"),
        ("GITHUB_TOKEN", r"\b(?:gh[pousr]_[A-Za-z0-9]{36,255}|github_pat_[A-Za-z0-9_]{50,255})\b"),
        ("GITLAB_TOKEN", r"\bgl(?:pat|dt|rt|ptt|agent|soat|ft|cbt)-[A-Za-z0-9_-]{20,64}"),
        ("SLACK_TOKEN", r"\bxox[abeoprs]-[A-Za-z0-9-]{10,250}|\bxapp-\d-[A-Za-z0-9-]{10,250}"),
        ("SLACK_WEBHOOK", r"https://hooks\.slack\.com/(?:services|workflows|triggers)/[A-Za-z0-9/_-]{20,200}"),
        ("GOOGLE_KEY", r"\bAIza[0-9A-Za-z_-]{35}(?![0-9A-Za-z_-])|\bya29\.[0-9A-Za-z_-]{20,500}|\bGOCSPX-[0-9A-Za-z_-]{28}"),
        ("ANTHROPIC_KEY", r"\bsk-ant-[a-z0-9]{2,12}-[A-Za-z0-9_-]{20,200}"),
        (
            "OPENAI_KEY",
            r"\bsk-(?:proj|svcacct|admin|None)-[A-Za-z0-9_-]{20,300}|\bsk-[A-Za-z0-9]{20}T3BlbkFJ[A-Za-z0-9]{20}\b|\bsk-[A-Za-z0-9]{48}\b",
        ),
        ("STRIPE_KEY", r"\b(?:sk|rk|whsec)_(?:live|test)?_?[A-Za-z0-9]{24,250}\b"),
        ("HUGGINGFACE_TOKEN", r"\bhf_[A-Za-z]{34}\b|\bapi_org_[A-Za-z]{34}\b"),
        ("NPM_TOKEN", r"\bnpm_[A-Za-z0-9]{36}\b"),
        ("PYPI_TOKEN", r"\bpypi-AgE[A-Za-z0-9_-]{50,400}"),
        ("SENDGRID_KEY", r"\bSG\.[A-Za-z0-9_-]{16,32}\.[A-Za-z0-9_-]{30,64}"),
        ("TWILIO_KEY", r"\bSK[0-9a-f]{32}\b"),
        ("TELEGRAM_TOKEN", r"\b\d{8,10}:AA[A-Za-z0-9_-]{33}(?![A-Za-z0-9_-])"),
        ("DIGITALOCEAN_TOKEN", r"\bdo[opr]_v1_[a-f0-9]{64}\b"),
        ("SHOPIFY_TOKEN", r"\bshp(?:at|ca|pa|ss)_[a-fA-F0-9]{32}\b"),
        ("VAULT_TOKEN", r"\bhv[sbr]\.[A-Za-z0-9_-]{24,200}"),
        ("AGE_KEY", r"\bAGE-SECRET-KEY-1[QPZRY9X8GF2TVDW0S3JN54KHCE6MUA7L]{58}"),
        ("AZURE_KEY", r"(?i)\b(?:AccountKey|SharedAccessKey|SharedAccessSignature)=([A-Za-z0-9+/=%]{30,200})"),
        ("JWT", r"\beyJ[A-Za-z0-9_-]{8,2000}\.eyJ[A-Za-z0-9_-]{8,8000}\.[A-Za-z0-9_-]{16,2000}"),
        ("BEARER_TOKEN", r"(?i)\bauthorization[\"']?\s{0,3}[:=]\s{0,3}[\"']?(?:bearer|basic|token)\s{1,3}([A-Za-z0-9._~+/=-]{16,4000})"),
        ("URL_PASSWORD", r"\b[a-zA-Z][a-zA-Z0-9+.-]{1,30}://[^\s/:@\"'<>]{0,200}:([^\s/@\"'<>]{3,200})@[\w.-]"),
    )
)
#: A telling name, then a value: password = "…", API_KEY: …
_NAMED = re.compile(
    r"(?i)\b(?:[\w-]{0,40}?)(?:api[_ -]?key|secret(?:[_ -]?(?:key|access[_ -]?key|token))?"
    r"|access[_ -]?(?:key|token)|auth[_ -]?token|client[_ -]?secret"
    r"|private[_ -]?key|passw(?:or)?d|passphrase|pwd|credential|token)[\"'`]?\s{0,3}"
    r"(?:=>|:=|==?|:|\bis\b)\s{0,3}[\"'`]?([^\s\"'`,;)}<>]{8,300})"
)
_PLACEHOLDER = re.compile(
    r"(?i)^(?:[x*.#_-]+|<.*|\$\{?\w*\}?.*|\{\{.*|%\(?\w+.*|\[.*|your[\w-]*|my[\w-]*|the[\w-]*|example\w*|changeme\w*|placeholder\w*|redacted|none|null"
    r"|undefined|true|false|required|optional|string|test\w*|dummy\w*|sample\w*|process\.env.*|os\.(?:environ|getenv).*|env\..*|getenv.*|config\..*"
    r"|self\..*|settings\..*|\w+\(.*|https?:.*)$"
)


class Config(BaseConfig):
    """What counts."""

    named: bool = Field(default=True, description="also values after a telling name, such as password = …")
    entropy: float = Field(default=3.0, ge=0.0, le=8.0, description="bits per character that such a value needs at least")


class SecretsRail:
    """Score 1 for a published form, 0.9 for a named value. ``label`` is the kind of each span; no secret is ever in a reason."""

    name = "secrets"
    version = "2"
    longest = 96

    def __init__(self, config: Config) -> None:
        self._config = config

    def __call__(self, conversation: Conversation, stage: Stage) -> Verdict:
        formed, named = self.find(view(conversation, stage).text)
        return say_found(conversation, self.name, self.version, [*formed, *named], 1.0 if formed else 0.9)

    def find(self, text: str) -> tuple[list[Found], list[Found]]:
        """Secrets by their form, and others by their name."""
        formed = [(start, end, "PRIVATE_KEY") for start, end in find_private_keys(text)]
        formed += [(*match.span(match.lastindex or 0), kind) for kind, form in FORMS for match in form.finditer(text)]
        named: list[Found] = []
        for match in _NAMED.finditer(text) if self._config.named else ():
            start, end = match.span(1)
            if self._likely(match[1]) and not any(a < end and start < b for a, b, _ in formed):
                named.append((start, end, "SECRET"))
        return formed, named

    def _likely(self, value: str) -> bool:
        if _PLACEHOLDER.match(value) or value.isalpha():
            return False
        kinds = sum(any(test(c) for c in value) for test in (str.islower, str.isupper, str.isdigit, lambda c: not c.isalnum()))
        return kinds >= 2 and entropy(value) >= self._config.entropy


def entropy(text: str) -> float:
    """Shannon entropy of the characters, in bits per character."""
    return -sum(n / len(text) * math.log2(n / len(text)) for n in Counter(text).values())


def build(config: Config) -> SecretsRail:
    """The rail with its forms."""
    return SecretsRail(config)
