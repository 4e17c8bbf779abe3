"""What docs/guard.md and docs/gateway.md show runs as it stands there, and gives what the comments say."""

from __future__ import annotations

import contextlib
import io
import re
from pathlib import Path

import pytest
from gateway_upstream import says

from charter.core.rows import Conversation
from charter.guard.engine import Guard
from charter.guard.policy import load_policy

DOCS = Path(__file__).parents[3] / "docs"


def blocks(page: str, language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", (DOCS / page).read_text(encoding="utf-8"), re.DOTALL)


def printed(code: str) -> str:
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        exec(compile(code, "docs", "exec"), {"__name__": "docs"})
    return out.getvalue()


@pytest.mark.parametrize(("number", "expected"), [(0, "allow True\n"), (1, "You asked: Where do swallows spend the winter?\n")])
def test_the_guard_in_python(number, expected):
    pytest.importorskip("presidio_analyzer")
    assert printed(blocks("guard.md", "python")[number]) == expected


def test_the_guard_of_the_page(tmp_path):
    (text,) = (block for block in blocks("guard.md", "yaml") if "name: shop" in block)
    (tmp_path / "guard.yaml").write_text(text, encoding="utf-8")
    policy = load_policy(tmp_path / "guard.yaml")
    patient = {stage: tuple(entry.model_copy(update={"timeout_ms": 60_000}) for entry in policy.rails(stage)) for stage in ("input", "output")}
    guard = Guard(policy.model_copy(update={**patient, "deadline_ms": 120_000}))
    fine = guard.check("How do I prune roses?", "input")
    assert (fine.action, [(a.rail, a.status) for a in fine.accounts][-1], fine.bypass) == ("allow", ("llama_guard", "skipped"), ())
    assert guard.check("What is Project Nightingale?", "input").by == ("blocklist",)
    talk = Conversation.ask("Whom do I ask?").with_reply("Write to jane@example.com or help@example.com")
    assert guard.check(talk, "output").conversation.reply == "Write to <EMAIL> or help@example.com"


@pytest.mark.parametrize("text", ["How do I prune roses?", "a forbidden word"])
def test_the_quick_start_of_the_gateway(launch, fakes, text):
    running = launch(fakes.guard({"word": fakes.finds("forbidden")}))
    running.upstream.script = says("Prune in March.")
    (code,) = blocks("gateway.md", "python")
    code = code.replace("http://127.0.0.1:8700", running.root).replace("How do I prune roses?", text).replace("import openai\n", "import openai\n", 1)
    assert printed(code + "\nclient.close()\n") == ("content_filter\n" if "forbidden" in text else "Prune in March.\n")


def test_the_page_tells_what_the_default_policy_does():
    """The numbers in the text of the page are those of the file."""
    text = (DOCS / "guard.md").read_text(encoding="utf-8")
    told = re.search(r"harmful over ([\d.]+) and jailbreak over ([\d.]+) in requests, harmful over ([\d.]+) and personal data over ([\d.]+)", text)
    policy = load_policy()
    rails = {entry.rail: entry.threshold for entry in (*policy.input, *policy.output)}
    assert [float(n) for n in told.groups()] == [rails[name] for name in ("request_harm", "jailbreak", "reply_harm", "pii")]
