"""``charter serve`` and its configuration: what it says at the start, what it refuses to start with, how it ends."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import urllib.error
import urllib.request

import pytest

from charter.core.errors import InputError
from charter.core.gloss import lists
from charter.guard.engine import Guard
from charter.guard.gateway import serve
from charter.guard.gateway.config import GatewayConfig, load_config
from charter.guard.policy import GuardPolicy, RailEntry
from charter.store.database import Database
from charter.store.keys import add_key


@pytest.fixture
def start(tmp_path):
    """``start(*arguments, **environment)`` runs ``charter serve`` and gives the process and the lines that it said."""
    running = []

    def begin(*arguments, lines=4, **environment):
        variables = {key: value for key, value in os.environ.items() if key != "OPENAI_API_KEY"}
        process = subprocess.Popen(
            [sys.executable, "-m", "charter.cli", "serve", *map(str, arguments)],
            cwd=tmp_path, env={**variables, **environment}, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        running.append(process)
        return process, [process.stdout.readline().strip() for _ in range(lines)]

    yield begin
    for process in running:
        process.kill()
        process.communicate()


def test_it_says_what_it_is_and_ends_when_told(start, tmp_path):
    process, said = start("--upstream", "http://127.0.0.1:9/v1", "--port", 0, lines=5, OPENAI_API_KEY="sk-hush", XDG_STATE_HOME=str(tmp_path))
    assert re.fullmatch(r"listening on http://127\.0\.0\.1:\d+/v1", said[0])
    assert said[1] == "upstream http://127.0.0.1:9/v1, key from OPENAI_API_KEY"
    assert re.fullmatch(r"guard default@1\+[0-9a-f]{8}: 5 input and 2 output rails", said[2])
    assert said[3:] == ["bypass: none", "keys: not asked for on loopback"]
    with urllib.request.urlopen(said[0].split()[-1].removesuffix("/v1") + "/readyz") as answer:
        assert answer.status == 200
    process.send_signal(signal.SIGTERM)
    out, errors = process.communicate(timeout=60)
    assert process.returncode in (0, -signal.SIGTERM)
    assert "sk-hush" not in " ".join([*said, out, errors])
    assert "Traceback" not in errors


def test_no_request_waits_for_the_lists_of_other_languages():
    lists._read.cache_clear()
    serve.build(GatewayConfig.model_validate({"upstream": {"url": "http://127.0.0.1:9/v1"}, "audit": {"mode": "off"}}), environ={})
    assert lists._read.cache_info().currsize == len(lists.codes())


def test_bypasses_are_said(start, tmp_path):
    (tmp_path / "guard.yaml").write_text("input:\n- {rail: length, on_error: allow}\nunguarded: [output]\nmedia: allow\n", encoding="utf-8")
    (tmp_path / "gateway.yaml").write_text("listen: {host: 0.0.0.0, port: 0, open: true}\nguard: guard.yaml\n", encoding="utf-8")
    _, said = start("--config", "gateway.yaml", lines=7)
    assert said[1].endswith("key none (OPENAI_API_KEY is not set)")
    bypasses = {line.removeprefix("bypass: ") for line in said[3:]}
    assert bypasses == {"no keys", "output: unguarded", "media: allow", "input: length: on_error allow"}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("listen: {host: 0.0.0.0}\n", "listen.host: 0.0.0.0 can be reached from other machines, and there are no keys"),
        ("listen: {hosts: x}\n", "line 1: listen.hosts: unknown key 'hosts'; did you mean 'host'?"),
        ("upstream: {url: ftp://x}\n", "must be a plain http:// or https:// URL"),
        ("upstream: {url: 'http://user:word@x/v1'}\n", "must be a plain http:// or https:// URL"),
        ("guard: nonesuch\n", "no guard policy is called 'nonesuch'"),
        ("on_block: shrug\n", "on_block"),
        ("limits: {total_s: 0}\n", "limits.total_s"),
        ("", "is empty"),
    ],
)
def test_mistakes_in_the_configuration(tmp_path, text, words):
    (tmp_path / "gateway.yaml").write_text(text, encoding="utf-8")
    with pytest.raises(InputError) as error:
        serve.build(load_config(tmp_path / "gateway.yaml"), environ={})
    assert words in str(error.value)


@pytest.mark.parametrize(
    ("url", "shown", "hint"),
    [
        ("localhost:8000", "--upstream 'localhost:8000': must be a plain http", "charter serve --upstream http://localhost:8000/v1"),
        ("http://user:word@x/v1", "--upstream: must be a plain http", "charter serve --help"),
    ],
)
def test_a_mistake_in_an_option_is_told_as_it_was_typed(url, shown, hint):
    with pytest.raises(InputError) as error:
        load_config(None, {"upstream.url": url})
    assert error.value.message.startswith(shown)
    assert "word" not in str(error.value)
    assert error.value.hint == hint


def test_a_mistake_is_one_line_and_no_traceback(start, tmp_path):
    (tmp_path / "gateway.yaml").write_text("guards: 7\n", encoding="utf-8")
    process, _ = start("--config", "gateway.yaml", "--port", 0, lines=0)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 2
    assert errors.startswith("error: gateway.yaml: line 1: guards:")
    assert "Traceback" not in errors


def test_a_port_that_is_taken(start):
    _, said = start("--upstream", "http://127.0.0.1:9/v1", "--port", 0)
    port = re.search(r":(\d+)/v1", said[0])[1]
    process, _ = start("--upstream", "http://127.0.0.1:9/v1", "--port", port, lines=0)
    _, errors = process.communicate(timeout=60)
    assert process.returncode != 0
    assert f"error: cannot listen on 127.0.0.1:{port}" in errors
    assert "charter serve --port 0" in errors
    assert "Traceback" not in errors


def test_flags_win_over_the_file(tmp_path):
    (tmp_path / "gateway.yaml").write_text("upstream: {url: 'http://a/v1', idle_s: 7}\nlisten: {port: 1}\n", encoding="utf-8")
    config = load_config(tmp_path / "gateway.yaml", {"upstream.url": "http://b/v1/", "listen.port": 2, "guard": None})
    assert (config.upstream.url, config.upstream.idle_s, config.listen.port, config.guard) == ("http://b/v1", 7, 2, "default")
    with pytest.raises(InputError, match="--upstream 'b'"):
        load_config(None, {"upstream.url": "b"})


def test_what_is_this_machine():
    here = {"127.0.0.1", "::1", "localhost", "127.9.9.9"}
    assert {host for host in (*here, "0.0.0.0", "::", "10.0.0.1", "gateway.example", "localhost.example", "") if serve.is_loopback(host)} == here


@pytest.mark.parametrize("written", ["off", "'off'"])
def test_an_audit_log_is_off_as_the_page_writes_it(written, tmp_path):
    """YAML reads a bare off as false."""
    (tmp_path / "gateway.yaml").write_text(f"audit: {{mode: {written}}}\n", encoding="utf-8")
    assert load_config(tmp_path / "gateway.yaml").audit.mode == "off"


def test_a_key_that_is_none_is_refused_without_being_told():
    guard = Guard(GuardPolicy(unguarded=("input", "output")))
    with pytest.raises(InputError) as error:
        serve.build(GatewayConfig(), environ={"OPENAI_API_KEY": "sk-hush\nx: y"}, guards={"": guard})
    assert "hush" not in str(error.value)


def test_every_weakness_of_a_policy_is_named():
    entry = RailEntry(rail="length", name="a", on_error="flag", on_unsure="allow")
    policy = GuardPolicy(input=(entry,), output=(entry.model_copy(update={"shadow": True}),), unguarded=("output",), stream={"mode": "async"})
    named = serve.guard_bypass(Guard(policy))
    assert named == ("output: unguarded", "stream: async", "input: a: on_error flag", "input: a: on_unsure allow")


def test_a_stage_that_can_only_flag_is_named_at_the_start():
    flags, blocks = RailEntry(rail="refusal", action="flag"), RailEntry(rail="length")
    assert serve.guard_bypass(Guard(GuardPolicy(input=(blocks,), output=(flags,)))) == ("output: only flags",)
    shadow = blocks.model_copy(update={"shadow": True})
    assert serve.guard_bypass(Guard(GuardPolicy(input=(blocks,), output=(flags, shadow)))) == ("output: only flags",)
    assert serve.guard_bypass(Guard(GuardPolicy(input=(blocks,), output=(flags,), hazards={"weapons": {"action": "block"}}))) == ()


def test_an_open_door_is_told_at_the_start_and_is_no_bypass_of_a_text(start, tmp_path):
    (tmp_path / "guard.yaml").write_text("input:\n- {rail: length, settings: {max_chars: 5}}\noutput:\n- {rail: length}\n", encoding="utf-8")
    (tmp_path / "gateway.yaml").write_text(
        "listen: {host: 0.0.0.0, port: 0, open: true}\nguard: guard.yaml\naudit: {mode: 'off'}\n", encoding="utf-8"
    )
    _, said = start("--config", "gateway.yaml", lines=5)
    assert "bypass: no keys" in said
    url = said[0].split()[-1].replace("0.0.0.0", "127.0.0.1")
    body = b'{"model": "m", "messages": [{"role": "user", "content": "longer than five"}]}'
    request = urllib.request.Request(f"{url}/chat/completions", body, {"content-type": "application/json"})
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(request)
    with refused.value as answer:
        assert answer.code == 400
        assert "x-guard-status" not in answer.headers


def test_a_softer_hazard_is_named_at_the_start():
    policy = GuardPolicy(
        input=(RailEntry(rail="length", threshold=0.7),),
        output=(RailEntry(rail="length"),),
        hazards={
            "weapons": {"action": "allow"}, "hate": {"threshold": 0.9}, "violent_crime": {"action": "mask", "threshold": 1.0},
            "self_harm": {"action": "escalate"}, "privacy": {"threshold": 0.6, "action": "block"},
        },
    )  # fmt: skip
    assert serve.guard_bypass(Guard(policy)) == (
        "hazard weapons: action allow", "hazard hate: threshold 0.9", "hazard violent_crime: action mask", "hazard violent_crime: threshold 1.0",
    )  # fmt: skip


def test_the_weaknesses_of_every_guard_are_named(tmp_path):
    database = Database(tmp_path / "gateway.db")
    add_key(database, "one", pepper=b"", guard="lax")
    database.close()
    config = GatewayConfig.model_validate({"guards": {"lax": "default"}, "database": {"url": str(tmp_path / "gateway.db")}})
    rails = (RailEntry(rail="length"),)
    main = GuardPolicy(input=rails, output=rails, hazards={"weapons": {"action": "allow"}})
    lax = GuardPolicy(unguarded=("input", "output"), media="allow", stream={"mode": "async"})
    built = serve.build(config, environ={}, guards={"": Guard(main), "lax": Guard(lax)})
    assert built.bypass == (
        "hazard weapons: action allow",
        "guard lax: input: unguarded", "guard lax: output: unguarded", "guard lax: media: allow", "guard lax: stream: async",
    )  # fmt: skip
