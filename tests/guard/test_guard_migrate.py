"""LLM Guard's scanners.yml: every scanner maps, maps in part, or is named as lost; nothing is dropped without a word."""

from __future__ import annotations

import pytest

from charter.core.errors import InputError
from charter.core.registry import find
from charter.core.rows import Conversation
from charter.guard.engine import Guard
from charter.guard.migrate import _RULES, _WITHOUT, migrate
from charter.guard.policy import dump_policy, load_policy

#: The scanners that llm-guard 0.3.16 has (its modules under input_scanners and output_scanners).
INPUT = "Anonymize BanCode BanCompetitors BanSubstrings BanTopics Code EmotionDetection Gibberish InvisibleText Language PromptInjection Regex Secrets Sentiment TokenLimit Toxicity".split()  # noqa: E501
OUTPUT = "BanCode BanCompetitors BanSubstrings BanTopics Bias Code Deanonymize EmotionDetection FactualConsistency Gibberish JSON Language LanguageSame MaliciousURLs NoRefusal NoRefusalLight ReadingTime Regex Relevance Sensitive Sentiment Toxicity URLReachability".split()  # noqa: E501
FILE = """
app:
  name: ${APP_NAME:LLM Guard API}
  scan_fail_fast: ${SCAN_FAIL_FAST:false}
  scan_prompt_timeout: ${SCAN_PROMPT_TIMEOUT:12}
  scan_output_timeout: 10
rate_limit: {enabled: false}
input_scanners:
  - type: Anonymize
    params: {use_faker: true, threshold: 0.75, entity_types: [EMAIL_ADDRESS, PERSON], allowed_names: [help@example.com], hidden_names: [Project Oak]}
  - type: BanSubstrings
    params: {substrings: [alpha, beta two], match_type: word, redact: false}
  - type: BanSubstrings
    params: {substrings: [gamma], match_type: str, case_sensitive: true, contains_all: true}
  - type: BanTopics
    params: {topics: [gambling], threshold: 0.8}
  - {type: InvisibleText, params: {}}
  - type: PromptInjection
    params: {threshold: 0.92}
  - type: Regex
    params: {patterns: ["Bearer .+"]}
  - {type: Secrets}
  - type: TokenLimit
    params: {limit: 1000}
  - {type: Shiny, params: {}}
output_scanners:
  - {type: Deanonymize, params: {}}
  - type: Sensitive
    params: {redact: false, threshold: 0.75}
  - {type: NoRefusal}
"""


@pytest.fixture
def old(tmp_path):
    def write(text):
        file = tmp_path / "scanners.yml"
        file.write_text(text, encoding="utf-8")
        return file

    return write


def test_every_scanner_there_is_has_an_answer():
    assert set(INPUT) | set(OUTPUT) == set(_RULES) | set(_WITHOUT)
    assert not set(_RULES) & set(_WITHOUT)


def test_a_file_becomes_a_guard_that_works(old, tmp_path):
    found = migrate(old(FILE))
    told = {(m.stage, m.scanner, n): m for n, m in enumerate(found.mapped)}
    how = {(stage, scanner): m.how for (stage, scanner, _), m in told.items()}
    assert how["input", "Regex"] == how["input", "Shiny"] == how["file", "rate_limit"] == "no"
    assert how["input", "Secrets"] == how["output", "Deanonymize"] == "yes"
    labels = [entry.label for entry in found.policy.input]
    assert labels == ["pii", "blocklist", "blocklist_2", "blocklist_3", "topic", "invisible_text", "injection", "jailbreak", "secrets", "length"]
    pii = found.policy.input[0]
    assert (pii.threshold, pii.action, pii.settings) == (0.75, "mask", {"kinds": ["EMAIL"], "allow": ["help@example.com"]})
    assert "PERSON" in found.mapped[0].note
    assert [m.note for m in found.mapped if m.scanner == "BanSubstrings"] == [
        "",
        "inside longer words (match_type: str) nothing is found; write word*; case is not looked at; each phrase counts alone (contains_all)",
    ]
    assert found.policy.deadline_ms == 12_000
    assert found.policy.input[-1].settings == {"max_chars": 4000}
    file = tmp_path / "guard.yaml"
    file.write_text(dump_policy(found.policy), encoding="utf-8")
    guard = Guard(load_policy(file))
    assert guard.check(Conversation.ask("alpha waves"), "input").by == ("blocklist_2",)
    masked = guard.check(Conversation.ask("Mail jane@example.com about Project Oak"), "input")
    assert masked.conversation.prompt == "Mail <EMAIL_1> about <TERM_1>"


def test_a_stage_that_held_nothing_back_gets_our_own_rail(old):
    found = migrate(old("input_scanners: []\noutput_scanners:\n  - {type: NoRefusal}\n"))
    assert [entry.label for entry in found.policy.input] == ["request_harm"]
    assert [(entry.label, entry.action) for entry in found.policy.output] == [("refusal", "flag"), ("reply_harm", "block")]
    assert any(m.scanner == "(nothing)" for m in found.mapped)
    only = migrate(old("input_scanners:\n  - {type: Regex}\noutput_scanners: []\n"))
    assert [entry.label for entry in (*only.policy.input, *only.policy.output)] == ["request_harm", "reply_harm"]


@pytest.mark.parametrize("stage", ["input", "output"])
@pytest.mark.parametrize("scanner", sorted(set(INPUT) | set(OUTPUT)))
def test_every_scanner_migrates_with_no_params_at_all(old, stage, scanner):
    found = migrate(old(f"{stage}_scanners:\n  - {{type: {scanner}}}\n"))
    for entry in (*found.policy.input, *found.policy.output):
        find("rails", entry.rail).Config.model_validate(entry.settings)
    assert found.mapped[0].note or found.mapped[0].how == "yes"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("a: 1", "neither input_scanners nor output_scanners"),
        ("[]", "neither input_scanners nor output_scanners"),
        ("input_scanners:\n  - Toxicity", "a scanner is a type and its params"),
        ("input_scanners:\n  - {type: Toxicity, params: {threshold: 7}}", "Toxicity: threshold: Input should be less than or equal to 1"),
    ],
)
def test_other_files_are_refused(old, text, told):
    with pytest.raises(InputError, match=told):
        migrate(old(text))
