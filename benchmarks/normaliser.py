"""What the normaliser gains, what it costs and what it breaks: disguised harmful requests, clean text of the world, and a megabyte of anything.

``suite``: known-bad requests in every disguise of ``_disguises.py`` and in mixtures, read by the rail ``request_harm`` as a guard reads them (the
text as it stands and every form), and beside it without the normaliser. A figure counts a disguised text
as right if its verdict is that of the plain text.
``clean``: real text whose verdict by any rail changes because the other forms are read too. ``speed``: CPU seconds for one megabyte of UTF-8.

Run: CHARTER_DATA=FOLDER python benchmarks/normaliser.py [suite] [clean] [speed] [--texts 40] [--seed 1] [--out FILE.json]
"""

from __future__ import annotations

import argparse
import gettext
import itertools
import json
import os
import platform
import random
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from _disguises import CODES, SHAPES, Disguise, mixture
from _megabytes import megabytes
from _megabytes_drawn import drawn

from charter.core.normalise import normalise, views
from charter.core.rows import Conversation
from charter.core.stats import wilson
from charter.guard.rails import injection, jailbreak, request_harm, toxicity
from charter.guard.rails._scores import shipped
from charter.judges._sets import load_set, read_set

#: Rails whose verdict on clean text must not change, and the head each of them reads.
RAILS: dict[str, Any] = {"harmful_request": request_harm, "jailbreak": jailbreak, "injection": injection, "toxicity": toxicity}
GROUP = 64
#: Sets of requests that people labelled harmful; of each only rows whose plain text the rail finds unsafe are disguised.
BAD = ("ailuminate", "xstest_prompts", "pooled_requests")
LOCALES = Path("/usr/share/locale")
#: Messages of a translation that are sentences, by characters.
SENTENCE = (40, 600)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("what", nargs="*", choices=("suite", "clean", "speed"), default=["suite", "clean", "speed"])
    parser.add_argument("--texts", type=int, default=40, help="texts for each kind of disguise")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--each", type=int, default=60, help="clean texts of each language and each English set")
    parser.add_argument("--out", type=Path, default=None)
    parser.add_argument("--misses", type=Path, default=None, help="also write the disguised texts with another verdict")
    given = parser.parse_args()
    result: dict[str, Any] = {"date": time.strftime("%Y-%m-%d"), "machine": f"{os.cpu_count()} cores, {platform.machine()}", "seed": given.seed}
    if "suite" in given.what:
        result["suite"] = suite(Path(os.environ["CHARTER_DATA"]), given.texts, given.seed, given.misses)
    if "clean" in given.what:
        result["clean"] = clean(Path(os.environ["CHARTER_DATA"]), given.each, given.seed)
    if "speed" in given.what:
        result["speed"] = {name: seconds(text) for name, text in itertools.chain(megabytes().items(), drawn())}
    if given.out is not None:
        given.out.write_text(json.dumps(result, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    sys.stdout.write(table(result))


# --- disguises


def known_bad(data: Path, seed: int) -> list[str]:
    """Requests of people's sets, in ASCII, that the rail finds unsafe as they stand; in an order drawn by the seed."""
    asked = [item.conversation.prompt for name in BAD for item in read_set(*load_set(name), data).items if item.positive]
    texts = [" ".join(text.split()) for text in dict.fromkeys(asked)]
    texts = [text for text in texts if 20 <= len(text) <= 300 and text.isascii()]
    random.Random(f"texts {seed}").shuffle(texts)
    texts = texts[:1500]
    unsafe = verdicts(texts, "harmful_request", forms=False)
    return [text for text, outcome in zip(texts, unsafe, strict=True) if outcome == "unsafe"]


def suite(data: Path, count: int, seed: int, misses: Path | None) -> dict[str, Any]:
    """Per kind: how many of the disguised texts have the plain text's verdict, with every form read and without, and how often a form says the plain
    text letter by letter."""
    rng = random.Random(f"suite {seed}")
    bad = known_bad(data, seed)
    jobs: list[tuple[str, Disguise]] = [(name, how) for name, how in (SHAPES | CODES).items() for _ in range(count)]
    jobs += [(f"mixture: {name}", how) for name, how in (mixture(rng) for _ in range(12 * count))]
    plain = [bad[n % len(bad)] for n in range(len(jobs))]
    hidden = [how(text, rng) for (_, how), text in zip(jobs, plain, strict=True)]
    read, alone = verdicts(hidden, "harmful_request", forms=True), verdicts(hidden, "harmful_request", forms=False)
    rows: dict[str, Counter[str]] = defaultdict(Counter)
    missed = []
    for (kind, _), text, disguised, with_forms, without in zip(jobs, plain, hidden, read, alone, strict=True):
        for name in (kind, "all"):
            rows[name].update(n=1, found=with_forms == "unsafe", without=without == "unsafe", failed=with_forms == "failed")
            rows[name].update(undone=undone(text, disguised))
        if with_forms != "unsafe":
            missed.append({"kind": kind, "plain": text, "disguised": disguised, "forms": [[v.name, v.text] for v in views(disguised)]})
    if misses is not None:
        misses.write_text("\n".join(json.dumps(row, ensure_ascii=False) for row in missed) + "\n", encoding="utf-8")
    return {"known_bad": len(bad), "kinds": {name: dict(counts) for name, counts in rows.items()}}


def undone(plain: str, disguised: str) -> bool:
    wanted = letters(plain)
    return any(wanted in letters(view.text) for view in views(disguised))


def letters(text: str) -> str:
    return "".join(c for c in text.lower() if c.isalnum())


def verdicts(texts: Sequence[str], head: str, forms: bool) -> list[str]:
    """Outcomes of the rail, or of the head that it reads on the text alone."""
    asked = [Conversation.ask(text) for text in texts]
    module = RAILS[head]
    rail = module.build(module.Config())

    def read(group: list[Conversation]) -> list[str]:
        found = rail.many(group, "input") if forms else shipped()(head, group)  # type: ignore[arg-type]
        return [v.outcome for v in found]

    return [outcome for at in range(0, len(asked), GROUP) for outcome in read(asked[at : at + GROUP])]


# --- clean text


def clean(data: Path, each: int, seed: int) -> dict[str, Any]:
    """By source: texts, those with a second form, and those whose verdict by any rail changes because of it."""
    result = {}
    for name, texts in clean_texts(data, each, random.Random(f"clean {seed}")):
        changed, examples = set(), []
        formed = [n for n, text in enumerate(texts) if len(views(text)) > 1]
        for head in RAILS:
            asked = [texts[n] for n in formed]
            for n, plain, read in zip(formed, verdicts(asked, head, forms=False), verdicts(asked, head, forms=True), strict=True):
                if plain != read:
                    changed.add(n)
                    examples.append(f"{head}: {texts[n]!r}"[:200])
        result[name] = {"n": len(texts), "with_forms": len(formed), "changed": len(changed), "examples": examples}
    return result


def clean_texts(data: Path, each: int, rng: random.Random) -> Iterator[tuple[str, list[str]]]:
    """Everyday prompts, questions about security and other benign requests, code, and the translated messages of installed programs by language."""
    for name in ("everyday_requests", "jailbreaks", "injections", "xstest_prompts"):
        items = read_set(*load_set(name), data).items
        yield f"English, {name}, not harmful", _some([i.conversation.prompt for i in items if not i.positive], 8 * each, rng)
    frr = json.loads((data / "cyberseceval/mitre_frr.json").read_text(encoding="utf-8"))
    yield "English, CyberSecEval benign security questions", _some([row["mutated_prompt"] for row in frr], 8 * each, rng)
    yield "code, Python's library", _some(list(code_pieces(Path(os.__file__).parent, "*.py")), 12 * each, rng)
    yield "code, C headers and shell", _some([*code_pieces(Path("/usr/include"), "*.h"), *code_pieces(Path("/usr/share"), "*.sh")], 6 * each, rng)
    yield "code, JavaScript and CSS", _some(list(code_pieces(Path(sys.prefix), "*.js")) + list(code_pieces(Path(sys.prefix), "*.css")), 6 * each, rng)
    for folder in sorted(LOCALES.iterdir() if LOCALES.is_dir() else []):
        texts = _some(list(dict.fromkeys(translated(folder))), each, rng)
        if len(texts) >= 20:
            yield f"translations, {folder.name}", texts


def _some(texts: list[str], count: int, rng: random.Random) -> list[str]:
    return rng.sample(texts, min(count, len(texts)))


def translated(folder: Path) -> Iterator[str]:
    """Sentences of the message files of one language."""
    for path in sorted(folder.glob("LC_MESSAGES/*.mo")):
        try:
            with path.open("rb") as file:
                catalogue: dict[Any, str] = gettext.GNUTranslations(file)._catalog  # type: ignore[attr-defined]
        except (OSError, UnicodeDecodeError, ValueError, LookupError):
            continue
        for key, text in catalogue.items():
            if key and text and text != key and SENTENCE[0] <= len(text) <= SENTENCE[1] and sum(map(str.isspace, text)) < 0.3 * len(text):
                yield text


def code_pieces(folder: Path, pattern: str) -> Iterator[str]:
    """Stretches of source of 40 lines at most."""
    for path in sorted(folder.rglob(pattern))[:1500]:
        try:
            lines = path.read_text(encoding="utf-8").splitlines()
        except (OSError, UnicodeDecodeError):
            continue
        for at in range(0, min(len(lines), 400), 200):
            piece = "\n".join(lines[at : at + 40])[:3000]
            if len(piece) > 200:
                yield piece


# --- speed


def seconds(text: str) -> dict[str, float]:
    """CPU seconds of the process, second best of three: ``normalise`` and ``views``."""
    return {name: _timed(work, text) for name, work in (("normalise", normalise), ("views", views))}


def _timed(work: Callable[[str], Any], text: str) -> float:
    taken = []
    for _ in range(3):
        started = time.process_time()
        work(text)
        taken.append(time.process_time() - started)
        if taken[0] > 5:
            break
    return round(sorted(taken)[len(taken) // 2], 3)


# --- pages


def table(result: dict[str, Any]) -> str:
    lines = [f"{result['machine']}, {result['date']}, seed {result['seed']}.", ""]
    if "suite" in result:
        lines += [
            "| disguise | n | 95 % | same verdict | without normaliser | undone letter by letter | failed |",
            "|---|---|---|---|---|---|---|",
        ]
        for name, row in sorted(result["suite"]["kinds"].items(), key=lambda item: (item[0] != "all", item[1]["found"] / item[1]["n"])):
            n = row["n"]
            low, high = wilson(row["found"], n)
            shares = " | ".join(f"{row[key] / n:.3f}" for key in ("found", "without", "undone"))
            lines.append(f"| {name} | {n} | {low:.3f} to {high:.3f} | {shares} | {row['failed']} |")
    if "clean" in result:
        lines += ["", "| clean text | n | with another form | verdict changed |", "|---|---|---|---|"]
        rows = result["clean"]
        groups = {"all": rows, "all translations": {k: v for k, v in rows.items() if k.startswith("translations")}}
        groups |= {k: {k: v} for k, v in rows.items() if not k.startswith("translations") or v["changed"]}
        for name, group in groups.items():
            n, formed, changed = (sum(row[key] for row in group.values()) for key in ("n", "with_forms", "changed"))
            lines.append(f"| {name} ({len(group)} sources) | {n} | {formed} | {changed} ({changed / max(1, n):.4f}) |")
        lines += ["", *(f"    {name}: {e}" for name, row in rows.items() for e in row["examples"])][:60]
    if "speed" in result:
        lines += ["", "| 1 MB of | normalise, s | views, s |", "|---|---|---|"]
        lines += [f"| {k} | {v['normalise']:.2f} | {v['views']:.2f} |" for k, v in sorted(result["speed"].items(), key=lambda i: -i[1]["views"])]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
