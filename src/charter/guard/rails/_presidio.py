"""Finders of personal data from other packages: Presidio's recognisers and Google's phone numbers. Imported only where a rail asks for them."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from importlib.metadata import version as installed
from typing import Any

from charter.core.errors import InputError, MissingPartError
from charter.core.installing import install
from charter.guard.rails._personal import Finder, Hit

INSTALL = install("pii")
#: Presidio's names of kinds that the rail has names of its own for.
KINDS = {
    "EMAIL_ADDRESS": "EMAIL", "PHONE_NUMBER": "PHONE", "CREDIT_CARD": "CARD", "IBAN_CODE": "IBAN", "US_SSN": "SSN", "IP_ADDRESS": "IP",
    "MAC_ADDRESS": "MAC", "CRYPTO": "WALLET", "UK_NINO": "NATIONAL_ID", "US_PASSPORT": "PASSPORT",
}  # fmt: skip
#: Kinds that are not about a person.
IGNORED = frozenset({"URL", "DATE_TIME", "UUID", "NRP"})


def version(presidio: bool) -> str:
    return f"presidio {installed('presidio-analyzer')}" if presidio else f"phonenumbers {installed('phonenumbers')}"


def finder(language: str, ner: str) -> Finder:
    """Presidio's pattern recognisers for a language; with ``ner`` also names, places and organisations by that spaCy model."""
    try:
        from presidio_analyzer import AnalyzerEngine, RecognizerRegistry
        from presidio_analyzer.nlp_engine import NlpEngineProvider
        from presidio_analyzer.pattern_recognizer import PatternRecognizer
    except ImportError:
        raise MissingPartError("the pii rail's engine presidio needs presidio-analyzer, which is not installed", INSTALL) from None
    logging.getLogger("presidio-analyzer").setLevel(logging.ERROR)
    registry = RecognizerRegistry(supported_languages=[language])
    registry.load_predefined_recognizers(languages=[language])
    if not ner:
        patterns = [r for r in registry.recognizers if isinstance(r, PatternRecognizer) and language in (r.supported_language, "any")]
        if not patterns:
            raise InputError(f"Presidio has no pattern recognisers for the language {language!r}", "language: en")
        return lambda text: [_hit(found) for r in patterns for found in r.analyze(text, r.supported_entities) if _counts(found)]
    import spacy

    if not spacy.util.is_package(ner):
        raise InputError(f"the spaCy model {ner!r} is not installed", f"python -m spacy download {ner}")
    provider = NlpEngineProvider(nlp_configuration={"nlp_engine_name": "spacy", "models": [{"lang_code": language, "model_name": ner}]})
    engine = AnalyzerEngine(registry=registry, nlp_engine=provider.create_engine(), supported_languages=[language])
    return lambda text: [_hit(found) for found in engine.analyze(text, language=language) if _counts(found)]


def phone_finder(regions: Sequence[str]) -> Finder:
    """Valid phone numbers as people of these regions write them."""
    try:
        import phonenumbers
    except ImportError:
        raise MissingPartError("phone_regions needs phonenumbers, which is not installed", INSTALL) from None
    unknown = [region for region in regions if region.upper() not in phonenumbers.SUPPORTED_REGIONS]
    if unknown:
        raise InputError(f"phone_regions: {unknown[0]!r} is no region; use codes such as US, GB, DE")

    def find(text: str) -> list[Hit]:
        matches = [match for region in regions for match in phonenumbers.PhoneNumberMatcher(text, region.upper())]
        return [Hit(match.start, match.end, "PHONE", 0.9) for match in matches]

    return find


def _counts(found: Any) -> bool:
    return found.entity_type not in IGNORED


def _hit(found: Any) -> Hit:
    return Hit(found.start, found.end, KINDS.get(found.entity_type, found.entity_type), float(found.score))
