"""Jailbreaks and prompt injections to learn from, and long harmless texts that are none."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from pathlib import Path

from charter.train.classifier._reading import lines, parsed, table
from charter.train.classifier.requests import NO_CONTENT
from charter.train.classifier.rows import LabelledText
from charter.train.classifier.synthesis import attacks, harmless, plant

_PLACE = ("[INSERT PROMPT HERE]", "{{ prompt }}", "{{prompt}}", "[[PROMPT]]")
_POOLED = {"pyrit_templates"}
_ARTIFACTS = {"jbb_GCG", "jbb_DSN", "jbb_JBC", "jbb_prompt_with_random_search"}


def jailbreaks(data: Path, questions: Sequence[str], rng: random.Random) -> Iterator[LabelledText]:
    """Templates from the wild (GPTFuzzer's, PyRIT's) around harmful questions, harmless questions, and bare; and Charter's own role traps."""
    labels = {"jailbreak": 1.0, "injection": 0.0}
    templates = [row["text"] for row in table(data, "gptfuzz/GPTFuzzer.csv")]
    for template in templates:
        for question in rng.sample(list(questions), 2):
            yield LabelledText(_fill(template, question), None, {**labels, "harmful_request": 1.0}, "", "gptfuzz_templates", "MIT")
    for row in lines(data, "train/jailbreak_injection.jsonl.gz"):
        if row["source"] in _POOLED:
            yield LabelledText(_bare(row["text"]), None, labels, "", row["source"], row["licence"])
    found: dict[str, list[str]] = {}
    for row in lines(data, "train/jailbreak_injection.jsonl.gz"):
        if row["source"] in _ARTIFACTS:
            found.setdefault(row["source"], []).append(row["text"])
    for texts in found.values():
        for text in rng.sample(texts, min(70, len(texts))):
            yield LabelledText(text, None, {**labels, "harmful_request": 1.0}, "", "jbb_prompts", "MIT")
    short = attacks("jailbreak", 350, rng)
    for number in range(220):
        whole = " ".join(rng.sample(short, rng.randint(2, 6)))
        yield LabelledText(whole if number % 2 else f"{whole} {rng.choice(questions)}", None, labels, "", "own_jailbreak", "Apache-2.0")
    for number, text in enumerate(short):
        if number % 2:
            yield LabelledText(f"{text} {rng.choice(questions)}", None, {**labels, "harmful_request": 1.0}, "", "own_jailbreak", "Apache-2.0")
        else:
            yield LabelledText(text, None, labels, "", "own_jailbreak", "Apache-2.0")


def _bare(template: str) -> str:
    """Without the template engine's marks, which only attacks would have."""
    return template.replace("{% raw %}", "").replace("{% endraw %}", "").strip()


def _fill(template: str, question: str) -> str:
    for mark in _PLACE:
        if mark in template:
            return template.replace(mark, question)
    return f"{template}\n{question}"


def injections(data: Path, rng: random.Random) -> Iterator[LabelledText]:
    """Overrides and attempts to read secrets, direct and laid into mails, tables and code; the same carriers without them are harmless."""
    labels = {"injection": 1.0, "jailbreak": 0.0}
    carriers = [str(row["context"]) for kind in ("email", "table", "code") for row in lines(data, f"bipia/{kind}_train.jsonl")]
    carriers = [text for text in carriers if len(text) > 80]
    for text in attacks("injection", 1500, rng):
        yield LabelledText(text, None, labels, "", "own_injection", "Apache-2.0")
    for text in attacks("injection", 500, rng):
        yield LabelledText(plant(rng.choice(carriers), text, rng), None, labels, "", "own_indirect", "Apache-2.0")
    payloads = [text for texts in parsed(data, "bipia/text_attack_train.json").values() for text in texts]
    payloads += [text for texts in parsed(data, "bipia/code_attack_train.json").values() for text in texts]
    for text in payloads:
        yield LabelledText(plant(rng.choice(carriers), text, rng), None, labels, "", "bipia_attacks", "MIT", 0.3)
    none = {"injection": 0.0, "jailbreak": 0.0, "harmful_request": 0.0, **NO_CONTENT}
    for text in rng.sample(carriers, min(320, len(carriers))):
        start = rng.randrange(max(1, len(text) - 420))
        yield LabelledText(text[start : start + 420], None, none, "", "bipia_contexts", "MIT", 0.7)


def agent_injections(data: Path) -> Iterator[LabelledText]:
    """Orders planted in memories and issues of agents, and the same places without them (Inspect Evals): kept for choosing, never learned from."""
    for row in parsed(data, "inspect_evals/ipi_coding_agent/dataset/samples.json"):
        labels = {"injection": float(row["injection_vector"] == "issue_text" and not row["is_benign"]), "jailbreak": 0.0}
        yield LabelledText(str(row["issue_text"]), None, labels, "", "agent_injections", "MIT")
    for row in parsed(data, "inspect_evals/agent_threat_bench/data/memory_poison.json"):
        for text in map(str, row["memory_store"].values()):
            planted = str(row["attack_marker"]).lower() in text.lower()
            yield LabelledText(text, None, {"injection": float(planted), "jailbreak": 0.0}, "", "agent_injections", "MIT")
    for row in parsed(data, "presidio_research/synth_dataset_v2.json")[:400]:
        yield LabelledText(str(row["full_text"]), None, {"injection": 0.0, "jailbreak": 0.0, "harmful_request": 0.0}, "", "presidio_sentences", "MIT")


def passages(data: Path) -> list[str]:
    """Harmless passages to work on."""
    found = [str(row["context"]) for row in lines(data, "bipia/email_train.jsonl")]
    found += [row["text"] for row in lines(data, "train/harmful_request.jsonl.gz") if row["source"] == "truthfulqa"]
    return [text.replace("{", "(").replace("}", ")") for text in found]


def trigger_words(data: Path, rng: random.Random) -> Iterator[LabelledText]:
    """Harmless requests that use the words of attacks, and plain tasks on harmless passages."""
    none = {"injection": 0.0, "jailbreak": 0.0, "harmful_request": 0.0, **NO_CONTENT}
    for text in harmless(1900, rng, passages(data)):
        yield LabelledText(text, None, none, "", "own_trigger_words", "Apache-2.0", 1.2)
