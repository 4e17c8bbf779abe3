"""What running a benchmark costs beside the model: Charter's runner and Inspect AI's, each with a model and a judge that answer at once.

Run: .venv/bin/python benchmarks/runner.py [--samples 10000] [--words 40] [--inspect-python VENV/bin/python] [--inspect-samples 10000]

Each measurement is a process of its own. Per sample: one question, one reply of ``--words`` words, one judgement, both kept on the disk. ``cpu_ms``
is what to compare on a busy machine. Memory is the peak of the process, and how much it is above one with a tenth of the samples: items and verdicts
are held to be counted, replies are not, so it does not depend on ``--words``. Inspect needs a Python with ``inspect-ai`` (pip install it in a
virtual environment of its own); without one, only Charter is measured.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path


def charter(samples: int, words: int) -> None:
    from charter.core.rows import Conversation, Example, Reply, Source, Verdict
    from charter.core.stats import rate
    from charter.evaluate.benchmark import Ask
    from charter.evaluate.run import run
    from charter.evaluate.shelved import Options, Shelved, folder_config
    from charter.store.runs import RunFolder

    class Instant:
        spec = "instant"

        def batches(self, conversations, sampling):
            return [list(range(at, min(at + 32, len(conversations)))) for at in range(0, len(conversations), 32)]

        def reply(self, conversations, sampling):
            return [Reply(text="word " * words, finish="stop", tokens_in=12, tokens_out=40) for _ in conversations]

    class Judge:
        name, version = "instant", "1"

        def __call__(self, conversation):
            return Verdict(subject=conversation.id, outcome="safe", label="none", judge="instant", judge_version="1")

    class Questions:
        ask, roles = Ask(), {"refusal": "instant"}

        def examples(self):
            source = Source(dataset="instant")
            return [Example(key=f"q-{n}", conversation=Conversation.ask(f"What is {n} and {n + 1}?"), source=source) for n in range(samples)]

        def options(self, example):
            return ()

        def verdict(self, example, said, judges):
            return judges["refusal"](example.conversation.with_reply(said.text))

        def metrics(self, examples, verdicts):
            said = [verdict for example in examples for verdict in verdicts[example.key]]
            return [rate("questions/refused", sum(v.label == "full" for v in said), len(said))]

    shelved = Shelved("questions", "1", {}, Questions())
    with tempfile.TemporaryDirectory() as folder:
        times = []
        for judge in ("first", "second"):
            started = mark()
            with RunFolder(Path(folder), "evaluate", folder_config(shelved, "instant", Options())) as opened:
                n = run(shelved, Instant(), {"refusal": Judge()}, opened).metrics["questions/refused"].n
            assert n == samples, judge
            times.append(since(started))
    report(samples, times[0], again=times[1])


def inspect(samples: int, words: int) -> None:
    from inspect_ai import Task, eval
    from inspect_ai.dataset import MemoryDataset, Sample
    from inspect_ai.model import ModelAPI, ModelOutput, ModelUsage, modelapi
    from inspect_ai.scorer import Score, accuracy, scorer

    @modelapi(name="instant")
    class Instant(ModelAPI):
        async def generate(self, input, tools, tool_choice, config):
            output = ModelOutput.from_content("instant", "word " * words)
            output.usage = ModelUsage(input_tokens=12, output_tokens=40, total_tokens=52)
            return output

    @scorer(metrics=[accuracy()])
    def instant_judge():
        async def score(state, target):
            return Score(value="C", answer="none")

        return score

    dataset = MemoryDataset([Sample(id=n, input=f"What is {n} and {n + 1}?", target="none") for n in range(samples)])
    with tempfile.TemporaryDirectory() as folder:
        started = mark()
        (log,) = eval(Task(dataset=dataset, scorer=instant_judge()), model="instant/instant", log_dir=folder, display="none")
        assert log.status == "success", log.error
        report(samples, since(started))


def mark() -> tuple[float, float]:
    return time.perf_counter(), time.process_time()


def since(started: tuple[float, float]) -> tuple[float, float]:
    return time.perf_counter() - started[0], time.process_time() - started[1]


def report(samples: int, spent: tuple[float, float], again: tuple[float, float] | None = None) -> None:
    found = {
        "samples": samples,
        "wall_ms": round(1000 * spent[0] / samples, 3),
        "cpu_ms": round(1000 * spent[1] / samples, 3),
        "peak_mib": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, 1),
    }
    if again is not None:
        found["second_run_cpu_ms"] = round(1000 * again[1] / samples, 3)
    sys.stdout.write(json.dumps(found) + "\n")


def measure(python: str, what: str, samples: int, words: int) -> dict[str, float]:
    command = [python, __file__, "--only", what, "--samples", str(samples), "--words", str(words)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(done.stderr)
    return json.loads(done.stdout.splitlines()[-1])


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--samples", type=int, default=10_000)
    parser.add_argument("--words", type=int, default=40)
    parser.add_argument("--inspect-python", default="")
    parser.add_argument("--inspect-samples", type=int, default=10_000)
    parser.add_argument("--only", choices=["charter", "inspect"], default=None)
    given = parser.parse_args()
    if given.only:
        {"charter": charter, "inspect": inspect}[given.only](given.samples, given.words)
        return
    small = measure(sys.executable, "charter", given.samples // 10, given.words)
    found = {"charter": measure(sys.executable, "charter", given.samples, given.words)}
    found["charter"]["peak_mib_above_a_tenth"] = round(found["charter"]["peak_mib"] - small["peak_mib"], 1)
    if given.inspect_python:
        small = measure(given.inspect_python, "inspect", given.inspect_samples // 10, given.words)
        found["inspect"] = measure(given.inspect_python, "inspect", given.inspect_samples, given.words)
        found["inspect"]["peak_mib_above_a_tenth"] = round(found["inspect"]["peak_mib"] - small["peak_mib"], 1)
        found["ratio_cpu"] = round(found["inspect"]["cpu_ms"] / found["charter"]["cpu_ms"], 1)
        found["ratio_wall"] = round(found["inspect"]["wall_ms"] / found["charter"]["wall_ms"], 1)
    sys.stdout.write(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
