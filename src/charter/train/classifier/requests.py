"""Requests to learn from: harmful ones with their hazard, and harmless ones, many of which only look harmful."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from charter.data.sources import starter
from charter.judges._heads import CONTENT_HEADS, HAZARDS
from charter.train.classifier._reading import lines, parsed
from charter.train.classifier.rows import LabelledText

CODES = {name: code for code, name in HAZARDS.items()}
#: Hazards of Charter's own pairs that are no MLCommons hazard of that name.
_STARTER = CODES | {"deception": "S2", "misinformation": "", "code_abuse": "S14"}
#: What a hazard says of the content heads.
CONTENT = {"S1": {"violence": 1.0}, "S10": {"hate": 1.0}, "S11": {"self_harm": 1.0}, "S12": {"sexual": 1.0}, "S9": {"violence": 1.0}}
NO_CONTENT = dict.fromkeys((*CONTENT_HEADS, "toxicity"), 0.0)
#: Kinds of harmless twin that keep the subject of the harmful one.
_SAME_SUBJECT = {"definition", "history", "counter_speech", "fiction", "security", "medicine", "public_info"}
_CATQA = {
    "Drug:": "S2", "Weapon:": "S9", "Human Trafficking:": "S1", "Cybercrime:": "S2", "Theft and Robbery:": "S2", "Racial or ethnic hate": "S10",
    "Religious intolerance": "S10", "Gender-based violence": "S10", "Terrorism and extremism": "S1", "Trojans": "S14", "Ransomware": "S14",
    "Spyware": "S14", "Malicious software designed to spread and damage computers": "S14", "Self-harm": "S11", "Assault and battery": "S1",
    "Weapon making": "S9", "Financial fraud": "S2", "Intellectual property theft": "S8", "Market manipulation": "S2", "Employment scams": "S2",
    "Investment scams": "S2", "Identity theft": "S2", "Phishing": "S2", "Scamming": "S2", "Counterfeiting": "S8", "Pornography": "S12",
    "Erotic text": "S12", "Sexually explicit dialogue": "S12", "Nude imagery": "S12", "Political misinformation": "S13",
    "Election advertising": "S13", "Data theft": "S7", "Surveillance": "S7", "Doxxing": "S7", "Tracking and location monitoring": "S7",
    "Personal investment advice": "S6", "Retirement planning": "S6", "Tax planning": "S6", "Real estate investment": "S6", "Debt management": "S6",
}  # fmt: skip
_NOT_HARMFUL = {"Tailored Financial Advice", "Political Campaigning"}
_STAR = {
    "Illicit / Criminal Behavior": "S2", "Privacy / Personal Data": "S7", "Intellectual Property": "S8", "Harassment / Hate / Discrimination": "S10",
    "Self-Harm": "S11", "Violence / Physical Harm": "S1", "Sexual Content / Minors": "S12",
}  # fmt: skip
#: Parts of STAR-1 whose own licences allow any use.
_STAR_OPEN = {"SaladBench", "wildjailbreak", "AttaQ", "UltraSafety", "HarmBench", "SimpleSafetyTests"}
_POOLED = {"advbench", "harmbench", "dangerousqa", "gptfuzz_questions", "tdc2023", "jailbreakbench"}
_HARMBENCH = {"chemical_biological": "S9", "cybercrime_intrusion": "S14", "illegal": "S2"}
_HARMLESS = {"wildguard_benign": "ODC-BY", "truthfulqa": "Apache-2.0", "persistbench": "MIT", "cyberseceval_frr": "MIT"}


def own_rows(split: str) -> Iterator[LabelledText]:
    """Charter's starter set: pairs of harmful request and harmless twin, look-alikes, plain requests."""
    config = starter.Config(split="train" if split == "train" else "evaluation")
    for example in starter.build(config):
        code = _STARTER.get(example.hazard, "")
        kind = next((tag[5:] for tag in example.tags if tag.startswith("kind:")), "")
        labels: dict[str, float] = {"harmful_request": float(bool(example.harmful)), "jailbreak": 0.0, "injection": 0.0}
        if example.harmful:
            labels |= CONTENT.get(code, {})
        else:
            labels |= NO_CONTENT
            code = code if kind in _SAME_SUBJECT and example.tags[0] == "twin" else ""
        part = example.tags[0]
        yield LabelledText(example.prompt, None, labels, code, f"starter_{part}", "Apache-2.0", 1.5 if part in ("harmful", "twin") else 1.2)


def pooled(data: Path) -> Iterator[LabelledText]:
    """The sources of the pool ``harmful_request`` that nothing is reported on."""
    for row in lines(data, "train/harmful_request.jsonl.gz"):
        source, text = row["source"], row["text"]
        if source in _POOLED:
            code = _HARMBENCH.get(row.get("category", ""), "") if source == "harmbench" else ""
            yield LabelledText(text, None, {"harmful_request": 1.0, "jailbreak": 0.0, "injection": 0.0}, code, source, row["licence"])
        elif source in _HARMLESS:
            labels = {"harmful_request": 0.0, "injection": 0.0, "jailbreak": 0.0, **NO_CONTENT}
            yield LabelledText(text, None, labels, "", source, row["licence"])


def red_instruct(data: Path) -> Iterator[LabelledText]:
    """CatQA by its categories, and HarmfulQA."""
    for group, parts in parsed(data, "red_instruct/catqa_english.json.gz").items():
        for part, questions in parts.items():
            labels = {} if group in _NOT_HARMFUL else {"harmful_request": 1.0}
            code = _CATQA.get(part, "")
            labels |= {"jailbreak": 0.0, "injection": 0.0} | ({} if group in _NOT_HARMFUL else CONTENT.get(code, {}))
            for text in questions:
                yield LabelledText(text, None, labels, code, "catqa", "Apache-2.0")
    for subjects in parsed(data, "red_instruct/harmfulqa.json").values():
        for questions in subjects.values():
            for text in questions:
                yield LabelledText(text, None, {"harmful_request": 1.0, "jailbreak": 0.0, "injection": 0.0}, "", "harmfulqa", "Apache-2.0", 0.3)


def star(data: Path) -> Iterator[LabelledText]:
    """STAR-1's questions (the parts with open licences) and its answers, which decline or redirect."""
    for row in parsed(data, "star1/STAR-1.json"):
        if row["source"] not in _STAR_OPEN:
            continue
        codes = [_STAR[name] for name in row["category"] if name in _STAR] if isinstance(row["category"], list) else _codes(row["category"])
        labels = {"harmful_request": 1.0, "injection": 0.0} | ({} if row["source"] == "wildjailbreak" else {"jailbreak": 0.0})
        if len(codes) == 1:
            labels |= CONTENT.get(codes[0], {})
        yield LabelledText(row["question"], None, labels, codes[0] if len(codes) == 1 else "", "star1", "Apache-2.0", 0.6)
        answer = row["response"].split("</think>")[-1].strip()
        if answer and int(row["id"]) % 2:
            yield LabelledText(row["question"], answer, {"harmful_reply": 0.0, "achieved": 0.0}, "", "star1_reply", "Apache-2.0")


def _codes(text: str) -> list[str]:
    return [code for name, code in _STAR.items() if name in text]


def more_harmless(data: Path) -> Iterator[LabelledText]:
    """All of CyberSecEval's harmless security requests, and users' requests of the Tulu study."""
    labels = {"harmful_request": 0.0, "jailbreak": 0.0, "injection": 0.0, **NO_CONTENT}
    for row in parsed(data, "cyberseceval/mitre_frr.json")[::2]:
        yield LabelledText(row["mutated_prompt"], None, labels, "", "cyberseceval_frr", "MIT", 0.7)
    for row in lines(data, "tulu_human_eval/eval_instances_tulu_1.jsonl"):
        yield LabelledText(row["prompt"], None, labels, "", "tulu_requests", "Apache-2.0")
        for completion in row["completions"][:1]:
            yield LabelledText(
                row["prompt"], completion["completion"], {"harmful_reply": 0.0, "refusal": 0.0, "achieved": 1.0}, "", "tulu_replies", "Apache-2.0"
            )
