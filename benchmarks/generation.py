"""Generation through the hf backend against bare model.generate on the same sorted batches, a one-by-one loop, and growth with twice the prompts.

Run: .venv/bin/python benchmarks/generation.py [--model embedded] [--prompts 128] [--tokens 32]
Prints one JSON object; the figures go into docs/benchmarks.md with machine, versions and date. Ratios are measured side by side in one run.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import time

from charter.core.rows import Conversation, Sampling
from charter.data.sources import starter
from charter.models import load_model


def prompts(n: int) -> list[Conversation]:
    examples = starter.build(starter.Config())
    return [examples[i % len(examples)].conversation for i in range(n)]


def through_charter(model, conversations, sampling) -> tuple[float, int]:
    started, tokens = time.perf_counter(), 0
    for batch in model.batches(conversations, sampling):
        tokens += sum(reply.tokens_out for reply in model.reply([conversations[i] for i in batch], sampling))
    return time.perf_counter() - started, tokens


def bare(model, conversations, sampling) -> tuple[float, int]:
    """What a careful person writes by hand: the same batches, left padding, model.generate."""
    import torch

    started, tokens = time.perf_counter(), 0
    ends = {model.tokenizer.eos_token_id}
    for batch in model.batches(conversations, sampling):
        chats = [[{"role": m.role, "content": m.text} for m in conversations[i].messages] for i in batch]
        given = model.tokenizer.apply_chat_template(chats, add_generation_prompt=True, padding=True, return_tensors="pt", return_dict=True)
        with torch.inference_mode():
            out = model.network.generate(**given.to(model.network.device), max_new_tokens=sampling.max_tokens, do_sample=False)
        for row in out[:, given["input_ids"].shape[1] :].tolist():
            tokens += next((n for n, token in enumerate(row) if token in ends), len(row))
    return time.perf_counter() - started, tokens


def one_by_one(model, conversations, sampling) -> tuple[float, int]:
    started = time.perf_counter()
    tokens = sum(model.reply([c], sampling)[0].tokens_out for c in conversations)
    return time.perf_counter() - started, tokens


def grown(spec: str, n: int, tokens: int) -> tuple[float, float]:
    """Seconds and peak memory in MiB of a fresh process that answers n prompts."""
    code = (
        f"import sys; sys.path.insert(0, {sys.path[0]!r}); import generation as g, resource\n"
        f"m = g.load_model({spec!r}); c = g.prompts({n}); s = g.Sampling(max_tokens={tokens}); m.network\n"
        "print(g.through_charter(m, c, s)[0], resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)"
    )
    seconds, peak = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout.split()
    return float(seconds), float(peak)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--model", default="embedded")
    parser.add_argument("--prompts", type=int, default=128)
    parser.add_argument("--tokens", type=int, default=32)
    given = parser.parse_args()
    model, sampling = load_model(given.model), Sampling(max_tokens=given.tokens)
    conversations = prompts(given.prompts)
    through_charter(model, conversations[:8], Sampling(max_tokens=2))
    rates = {}
    for name, run, some in (
        ("charter", through_charter, conversations),
        ("bare", bare, conversations),
        ("charter_again", through_charter, conversations),
        ("bare_again", bare, conversations),
        ("one_by_one", one_by_one, conversations[:: max(1, len(conversations) // 16)]),
    ):
        seconds, tokens = run(model, some, sampling)
        rates[name] = round(tokens / seconds, 1)
    del model
    (half_s, half_mib), (whole_s, whole_mib) = (grown(given.model, n, given.tokens) for n in (given.prompts, 2 * given.prompts))
    mine, theirs = max(rates["charter"], rates["charter_again"]), max(rates["bare"], rates["bare_again"])
    result = {
        "tokens_per_s": rates,
        "charter_over_bare": round(mine / theirs, 2),
        "charter_over_one_by_one": round(mine / rates["one_by_one"], 1),
        "twice_the_prompts": {"time_ratio": round(whole_s / half_s, 2), "memory_ratio": round(whole_mib / half_mib, 3), "peak_mib": round(whole_mib)},
        "peak_mib_here": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024),
    }
    sys.stdout.write(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
