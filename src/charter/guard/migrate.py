"""From LLM Guard's ``scanners.yml`` to ``guard.yaml``: what maps, what maps in part, what does not, and why.

The file's form: ``input_scanners`` and ``output_scanners``, lists of ``{type, params}``, beside settings of its API (protectai/llm-guard 0.3.16,
``llm_guard_api/config/scanners.yml``). ``${NAME:default}`` is read as its default: a guard takes nothing from the environment.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal, NamedTuple

from pydantic import ValidationError

from charter.core.config import read_yaml
from charter.core.errors import InputError
from charter.guard.policy import STAGES, GuardPolicy, RailEntry, Stage

#: LLM Guard's entity types by what the pii rail calls them.
KINDS = {
    "EMAIL_ADDRESS": "EMAIL", "EMAIL_ADDRESS_RE": "EMAIL", "PHONE_NUMBER": "PHONE", "PHONE_NUMBER_ZH": "PHONE", "PHONE_NUMBER_WITH_EXT": "PHONE",
    "CREDIT_CARD": "CARD", "CREDIT_CARD_RE": "CARD", "IBAN_CODE": "IBAN", "US_SSN": "SSN", "US_SSN_RE": "SSN", "IP_ADDRESS": "IP", "CRYPTO": "WALLET",
    "BTC_ADDRESS": "WALLET",
}  # fmt: skip
#: Characters of an English token, and words a person reads in a minute: for limits counted in other units there.
CHARS_PER_TOKEN, WORDS_PER_MINUTE = 4, 200
_ENVIRONMENT = re.compile(r"\$\{[A-Za-z_]\w*(?::([^}]*))?\}")
How = Literal["yes", "partly", "no"]


class Mapped(NamedTuple):
    """What became of one scanner (or setting)."""

    stage: str
    scanner: str
    how: How
    rails: tuple[RailEntry, ...]
    note: str


class Migration(NamedTuple):
    """A policy, and what became of everything in the old file, in its order."""

    policy: GuardPolicy
    mapped: tuple[Mapped, ...]


#: What a stage gets that held nothing back.
_OWN: Mapping[Stage, RailEntry] = {"input": RailEntry(rail="request_harm", threshold=0.8), "output": RailEntry(rail="reply_harm", threshold=0.9)}
Params = Mapping[str, Any]
Answer = tuple[How, list[dict[str, Any]], str]


def migrate(path: Path) -> Migration:
    """Read a ``scanners.yml``. Raises InputError when it is none."""
    data = read_yaml(path).data
    if not isinstance(data, dict) or not any(isinstance(data.get(f"{stage}_scanners"), list) for stage in STAGES):
        raise InputError(f"{path}: is no scanners.yml of LLM Guard: it has neither input_scanners nor output_scanners", "docs/guard.md")
    data = _defaults(data)
    mapped = [_scanner(path, stage, number, item) for stage in STAGES for number, item in enumerate(data.get(f"{stage}_scanners") or [])]
    mapped += _settings(data)
    rails: dict[Stage, list[RailEntry]] = {stage: [r for m in mapped if m.stage == stage for r in m.rails] for stage in STAGES}
    for stage, added in _OWN.items():
        if not any(entry.action in ("mask", "block", "escalate") for entry in rails[stage]):
            rails[stage].append(added)
            mapped.append(Mapped(stage, "(nothing)", "yes", (added,), "the old file held nothing back here; Charter's own rail was added"))
    app = data.get("app") if isinstance(data.get("app"), dict) else {}
    deadline_s = max((_number(app.get(f"scan_{name}_timeout"), 30.0) for name in ("prompt", "output")), default=30.0)
    policy = GuardPolicy(
        name="from-llm-guard",
        deadline_ms=int(min(600.0, max(0.001, deadline_s)) * 1000),
        input=_named(rails["input"]),
        output=_named(rails["output"]),
    )
    return Migration(policy, tuple(mapped))


def _scanner(path: Path, stage: Stage, number: int, item: Any) -> Mapped:
    where = f"{path}: {stage}_scanners.{number}"
    if not isinstance(item, dict) or not isinstance(item.get("type"), str) or not isinstance(item.get("params") or {}, dict):
        raise InputError(f"{where}: a scanner is a type and its params", "- type: Toxicity\n    params: {threshold: 0.9}")
    kind, params = item["type"], item.get("params") or {}
    how, rails, note = _RULES[kind](params, stage) if kind in _RULES else ("no", [], _WITHOUT.get(kind, "not a scanner that is known"))
    try:
        entries = tuple(RailEntry.model_validate(rail) for rail in rails)
    except ValidationError as error:
        problem = error.errors(include_url=False)[0]
        raise InputError(f"{where}: {kind}: {'.'.join(map(str, problem['loc']))}: {problem['msg']}") from None
    return Mapped(stage, kind, how, entries, note)


def _anonymize(params: Params, stage: Stage) -> Answer:
    kinds = [str(kind).upper() for kind in params.get("entity_types") or []]
    lost = sorted({kind for kind in kinds if kind not in KINDS})
    settings: dict[str, Any] = {"kinds": sorted({KINDS[kind] for kind in kinds if kind in KINDS})} if len(lost) < len(kinds) else {}
    settings |= {"allow": [str(name) for name in params["allowed_names"]]} if params.get("allowed_names") else {}
    rails: list[dict[str, Any]] = [{"rail": "pii", "threshold": _number(params.get("threshold"), 0.5) or 0.5, "action": "mask", "settings": settings}]
    if params.get("hidden_names"):
        rails.append({"rail": "blocklist", "action": "mask", "settings": {"phrases": [str(name) for name in params["hidden_names"]]}})
    notes = ["names and places are only found with settings: {engine: presidio, ner: MODEL}"]
    notes += [f"kinds without a rule: {', '.join(lost)}"] if lost else []
    notes += ["made-up values (use_faker) are not made; placeholders stand in"] if params.get("use_faker") else []
    return "partly", rails, "; ".join(notes)


def _sensitive(params: Params, stage: Stage) -> Answer:
    how, rails, note = _anonymize(params, stage)
    return how, [{**rail, "action": "mask" if params.get("redact") else "block"} for rail in rails], note


def _substrings(params: Params, stage: Stage) -> Answer:
    phrases = [str(text) for text in params.get("substrings") or [] if re.search(r"\w", str(text))]
    rail = {"rail": "blocklist", "action": "mask" if params.get("redact") else "block", "settings": {"phrases": phrases}}
    notes = ["inside longer words (match_type: str) nothing is found; write word*"] if params.get("match_type", "str") == "str" else []
    notes += ["case is not looked at"] if params.get("case_sensitive") else []
    notes += ["each phrase counts alone (contains_all)"] if params.get("contains_all") else []
    return ("partly" if notes else "yes"), [rail] if phrases else [], "; ".join(notes)


def _competitors(params: Params, stage: Stage) -> Answer:
    names = [str(name) for name in params.get("competitors") or []]
    rail = {"rail": "blocklist", "name": "competitors", "action": "mask" if params.get("redact") else "block", "settings": {"phrases": names}}
    return "partly", [rail] if names else [], "found as words, not by a model of names"


def _topics(params: Params, stage: Stage) -> Answer:
    topics = {str(topic): [str(topic)] for topic in params.get("topics") or []}
    rail = {"rail": "topic", "threshold": _number(params.get("threshold"), 0.6) or 0.6, "settings": {"deny": topics}}
    note = "found by words; write phrases for each topic, or by: minilm (or another model) for meaning, and calibrate"
    return "partly", [rail] if topics else [], note


def _injection(params: Params, stage: Stage) -> Answer:
    threshold = _number(params.get("threshold"), 0.92) or 0.92
    rails = [{"rail": "injection", "threshold": threshold}, {"rail": "jailbreak", "threshold": threshold}]
    return "yes", rails, "another model's scores: calibrate the thresholds"


def _toxicity(params: Params, stage: Stage) -> Answer:
    return "yes", [{"rail": "toxicity", "threshold": _number(params.get("threshold"), 0.5) or 0.5}], "another model's scores: calibrate the threshold"


def _language(params: Params, stage: Stage) -> Answer:
    codes = [str(code).split("-")[0] for code in params.get("valid_languages") or ["en"]]
    return (
        "yes",
        [{"rail": "language", "threshold": _number(params.get("threshold"), 0.6) or 0.6, "settings": {"allow": codes}}],
        "needs the extra language",
    )


def _tokens(params: Params, stage: Stage) -> Answer:
    limit = int(_number(params.get("limit"), 4096.0))
    return (
        "partly",
        [{"rail": "length", "settings": {"max_chars": limit * CHARS_PER_TOKEN}}],
        f"{limit} tokens taken as {limit * CHARS_PER_TOKEN} characters",
    )


def _reading_time(params: Params, stage: Stage) -> Answer:
    words = int(_number(params.get("max_time"), 5.0) * WORDS_PER_MINUTE)
    note = f"minutes taken as {words} words" + ("; a reply is withheld, not cut" if params.get("truncate") else "")
    return "partly", [{"rail": "length", "name": "reading_time", "settings": {"max_words": words}}], note


def _secrets(params: Params, stage: Stage) -> Answer:
    return "yes", [{"rail": "secrets", "action": "mask"}], "a masked value can come back in the reply; restore: false keeps it away"


def _refusal(params: Params, stage: Stage) -> Answer:
    note = "a refusal is flagged, not withheld: it is no harm"
    return "partly", [{"rail": "refusal", "action": "flag", "threshold": _number(params.get("threshold"), 0.75) or 0.75}], note


_RULES: Mapping[str, Callable[[Params, Stage], Answer]] = {
    "Anonymize": _anonymize,
    "Sensitive": _sensitive,
    "BanSubstrings": _substrings,
    "BanCompetitors": _competitors,
    "BanTopics": _topics,
    "InvisibleText": lambda params, stage: (
        "yes",
        [{"rail": "invisible_text", "action": "mask"}],
        "emoji and joiners of other scripts are left alone",
    ),
    "Language": _language,
    "NoRefusal": _refusal,
    "NoRefusalLight": _refusal,
    "PromptInjection": _injection,
    "ReadingTime": _reading_time,
    "Secrets": _secrets,
    "TokenLimit": _tokens,
    "Toxicity": _toxicity,
    "Deanonymize": lambda params, stage: ("yes", [], "restore: true, which is the default; one vault for each request, never a shared one"),
}
_WITHOUT = {
    "BanCode": "no rail finds code",
    "Code": "no rail finds code",
    "Bias": "no rail judges bias",
    "EmotionDetection": "no rail judges emotions",
    "FactualConsistency": "no rail checks facts; llm_judge can be asked",
    "Gibberish": "no rail judges sense; repetition finds loops",
    "JSON": "the gateway and the model's JSON mode look after form",
    "LanguageSame": "no rail compares two languages; language checks each side",
    "MaliciousURLs": "no rail judges addresses",
    "Regex": "patterns in a file are not run: they can hang; use blocklist, or a rail of your own by entry point",
    "Relevance": "no rail judges relevance; llm_judge can be asked",
    "Sentiment": "no rail judges sentiment",
    "URLReachability": "a guard asks no address that a text names",
}
_ELSEWHERE = {
    "rate_limit": "the gateway has limits for each key",
    "auth": "the gateway has keys",
    "tracing": "the gateway has OpenTelemetry",
    "metrics": "the gateway has Prometheus metrics",
    "cache": "verdicts are cached by content: cache",
}


def _settings(data: Mapping[str, Any]) -> list[Mapped]:
    found = [Mapped("file", key, "no", (), note) for key, note in _ELSEWHERE.items() if key in data]
    app = data.get("app")
    if isinstance(app, dict) and app.get("scan_fail_fast") is not None:
        found.append(Mapped("file", "app.scan_fail_fast", "yes", (), "a block always ends a check"))
    if isinstance(app, dict) and any(f"scan_{name}_timeout" in app for name in ("prompt", "output")):
        found.append(Mapped("file", "app.scan_*_timeout", "yes", (), "deadline_ms; what is late blocks"))
    return found


def _named(entries: list[RailEntry]) -> tuple[RailEntry, ...]:
    """A second rail of one name gets a number."""
    out: list[RailEntry] = []
    for entry in entries:
        count = sum(other.rail == entry.rail for other in out)
        taken = any(other.label == entry.label for other in out)
        out.append(entry.model_copy(update={"name": f"{entry.label}_{count + 1}"}) if taken else entry)
    return tuple(out)


def _defaults(value: Any) -> Any:
    """Texts with every ``${NAME:default}`` read as its default."""
    if isinstance(value, dict):
        return {key: _defaults(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_defaults(item) for item in value]
    return _ENVIRONMENT.sub(lambda found: found[1] or "", value) if isinstance(value, str) else value


def _number(value: Any, otherwise: float) -> float:
    try:
        return float(value)
    except (TypeError, ValueError):
        return otherwise
