"""The pump in process, without sockets: at every way of cutting a reply in two, and at random ways of cutting it in many, nothing unapproved is out,
the joined deltas are exactly the checked text, a mask or a value put back is never split."""

from __future__ import annotations

import asyncio
import itertools
import json
import random
import re
from collections import defaultdict

import pytest

from charter.guard.gateway._line import PROSE
from charter.guard.gateway.streaming import Final, Pump
from charter.guard.gateway.surfaces._surface import Withheld
from charter.guard.gateway.surfaces.chat import surface
from charter.guard.gateway.wire import sse, strict
from charter.guard.gateway.wire.errors import unavailable
from charter.guard.holdback import Approval, Window
from charter.guard.policy import StreamPolicy
from charter.guard.segments import view
from charter.guard.vault import Vault

HOLD = 12
POLICY = StreamPolicy(hold_chars=HOLD, window_chars=14, window_ms=60_000, growth=0.0)
BITS = (
    "sun. ",
    "Why? ",
    "42 ",
    "\n\n- ",
    "état ",
    "e\u0301te\u0301 ",
    "👩‍👩‍👧 ",
    "日本語。",
    "a\u200bb ",
    "   ",
    '{"a": 1}',
    "key=",
    "-- ",
    "\r\n",
    "א ",
)
WORD = "hush hush"
FORBIDDEN = (WORD, "jane@ex.org", "密码是红色")


class Checks:
    """Knows one forbidden or hidden thing. ``kind``: clean, forbidden, masked, restored."""

    active = True
    blocks_media = True

    def __init__(self, kind, thing, vault=None):
        self.kind, self.thing, self._vault = kind, thing, vault
        self.approved = []  # texts of which everything up to the hold may be out
        self.whole_approved = False

    def window(self, channel):
        return Window(POLICY, hold_chars=max(HOLD, len(self.thing)), mode=None if channel in PROSE else "full")

    def vault(self, prompt):
        return self._vault

    def look(self, text):
        places = tuple((m.start(), m.end(), "<HIDDEN>") for m in re.finditer(re.escape(self.thing), text)) if self.thing else ()
        return places if self.kind in ("forbidden", "masked") else ()

    async def part(self, choice, prompt, probe):
        await asyncio.sleep(0)
        places = self.look(probe.text)
        if self.kind == "forbidden" and places:
            return Approval(False)
        self.approved.append(probe.text)
        return Approval(True, places)

    async def blocked(self, choice, why, approval):
        assert why == "blocked"
        return Withheld("No.")

    async def whole(self, said):
        await asyncio.sleep(0)
        texts = {said.located.paths[s.message, s.field, s.nth][0]: s.text for s in view(said.located.conversation, "output").segments
                 if (s.message, s.field, s.nth) in said.located.paths}  # fmt: skip
        found = {channel: self.look(text) for channel, text in texts.items()}
        if self.kind == "forbidden" and any(found.values()):
            return Final(Withheld("No."), {})
        self.whole_approved = True
        return Final(None, found)


class Client:
    """What has left, by channel."""

    def __init__(self, checks, start):
        self.checks, self.start = checks, start
        self.texts = defaultdict(str)
        self.refusals, self.finishes, self.errors, self.ended = [], [], [], False
        self._reader = sse.Reader()

    def put(self, data):
        for event in self._reader.feed(data):
            if event.data == b"[DONE]":
                self.ended = True
                continue
            chunk = json.loads(event.data)
            if "error" in chunk:
                self.errors.append(chunk["error"]["code"])
                continue
            for choice in chunk["choices"]:
                delta = choice["delta"]
                self.texts["content"] += delta.get("content") or ""
                self.texts["reasoning"] += delta.get("reasoning_content") or ""
                for call in delta.get("tool_calls") or ():
                    self.texts[f"tool:{call['index']}"] += call["function"].get("arguments") or ""
                self.refusals += [delta["refusal"]] if delta.get("refusal") else []
                self.finishes += [choice["finish_reason"]] if choice["finish_reason"] else []
        self.judge()

    def judge(self):
        """The invariant, after every byte that leaves."""
        checks = self.checks
        for channel, out in self.texts.items():
            if not out:
                continue
            if checks.kind == "forbidden":
                assert len(out) <= self.start, (channel, out)
            if channel.startswith("tool:"):
                assert checks.whole_approved
            elif not checks.whole_approved and checks.kind in ("clean", "forbidden"):
                assert any(text.startswith(out) and len(out) <= len(text) - HOLD for text in checks.approved), (channel, out)
            assert not checks.thing or checks.kind != "masked" or not any(out.endswith(checks.thing[:n]) for n in range(2, len(checks.thing) + 1))


ASKED = surface.ask({"model": "m", "stream": True, "messages": [{"role": "user", "content": "hi"}]})


def deltas(channel, pieces):
    """Events of a stream that says ``pieces`` on a channel."""
    if channel == "tool:0":
        first = {"index": 0, "id": "c", "type": "function", "function": {"name": "f", "arguments": ""}}
        told = [{"tool_calls": [first]}, *({"tool_calls": [{"index": 0, "function": {"arguments": piece}}]} for piece in pieces)]
    else:
        told = [{({"content": "content", "reasoning": "reasoning_content"}[channel]): piece} for piece in pieces]
    choices = [{"index": 0, "delta": delta, "finish_reason": None} for delta in told] + [{"index": 0, "delta": {}, "finish_reason": "stop"}]
    return [sse.Event("", strict.write({"id": "x", "created": 1, "model": "m", "choices": [choice]})) for choice in choices]


async def run(checks, channel, pieces, start, *, eager):
    """``eager``: every check is over before the next piece comes; else all pieces come at once."""
    client = Client(checks, start)

    async def wake():
        return

    pump = Pump(surface.codec(ASKED), ASKED, checks, client.put, wake, lambda: None, lambda: 0.0)
    for event in [*deltas(channel, pieces), sse.Event("", b"[DONE]")]:
        pump.feed([event])
        if eager:
            await pump.wait()
    await pump.finish()
    return client


def generated(seed, count):
    """(kind, channel, text, start of the thing, thing, what the client must get)."""
    rng = random.Random(seed)
    kinds = ("clean", "forbidden", "masked", "restored")
    for n in range(count):
        kind, channel = kinds[n % 4], ("content", "content", "reasoning", "tool:0")[n // 4 % 4]
        before, after = ("".join(rng.choice(BITS) for _ in range(rng.randrange(1, 9))) for _ in range(2))
        thing = "" if kind == "clean" else "<EMAIL_1>" if kind == "restored" else rng.choice(FORBIDDEN)
        text = f"{before} {thing} {after}" if thing else before + after
        replaced = {"masked": "<HIDDEN>", "restored": r"o\"x" if channel == "tool:0" else 'o"x'}.get(kind)
        yield kind, channel, text, len(before) + 1, thing, text.replace(thing, replaced) if replaced else text


async def examine(case, pieces, *, eager, active=True):
    kind, channel, _, start, thing, wanted = case
    vault = None
    if kind == "restored":
        vault = Vault()
        vault.hide("EMAIL", 'o"x')
    checks = Checks(kind, thing, vault)
    checks.active = active
    checks.whole_approved = not active
    client = await run(checks, channel, pieces, start, eager=eager)
    assert client.errors == []
    assert client.ended
    if kind == "forbidden":
        assert wanted.startswith(client.texts[channel])
        assert (client.refusals, client.finishes) == (["No."], ["content_filter"])
    else:
        assert client.texts[channel] == wanted
        assert client.finishes == ["stop"]


async def every_split(seed, count):
    runs = 0
    for case in generated(seed, count):
        text = case[2]
        for cut in range(len(text) + 1):
            await examine(case, [text[:cut], text[cut:]], eager=True)
            if case[0] == "restored":  # values are put back even where nothing is checked
                await examine(case, [text[:cut], text[cut:]], eager=True, active=False)
        rng = random.Random(text)
        for eager in (True, False):
            cuts = sorted({0, len(text), *(rng.randrange(len(text) + 1) for _ in range(12))})
            await examine(case, [text[a:b] for a, b in itertools.pairwise(cuts)], eager=eager)
        await examine(case, list(text), eager=False)
        runs += len(text) + 4
    return runs


def test_every_split_of_generated_streams():
    assert asyncio.run(every_split(1, 120)) > 5000


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(2, 12))
def test_every_split_of_many_generated_streams(seed):
    """5,000 streams together, about 300,000 runs of the pump."""
    asyncio.run(every_split(seed, 500))


class Several:
    """Checks of several choices, each with its own."""

    active = True
    blocks_media = True

    def __init__(self, each):
        self.each = each

    def window(self, channel):
        return Window(POLICY, hold_chars=16, mode=None if channel in PROSE else "full")

    def vault(self, prompt):
        return None

    async def part(self, choice, prompt, probe):
        return await self.each[choice].part(choice, prompt, probe)

    async def blocked(self, choice, why, approval):
        return await self.each[choice].blocked(choice, why, approval)

    async def whole(self, said):
        return await self.each[said.choice].whole(said)


async def interleaved(seed):
    """Three replies whose events come in any order: each has the fate it would have alone, and the usage comes last."""
    rng = random.Random(seed)
    cases = [case for case in generated(seed, 40) if case[0] != "restored" and case[1] != "tool:0"]
    cases = rng.sample(cases, 3)
    asked = surface.ask({"model": "m", "n": 3, "stream": True, "messages": [{"role": "user", "content": "hi"}]})
    checks = Several([Checks(kind, thing) for kind, _, _, _, thing, _ in cases])
    clients = [Client(each, case[3]) for each, case in zip(checks.each, cases, strict=True)]
    out = []

    def put(data):
        out.append(data)
        for event in sse.Reader().feed(data):
            if event.data == b"[DONE]":
                continue
            chunk = json.loads(event.data)
            for choice in chunk["choices"]:
                clients[choice["index"]].put(sse.event({**chunk, "choices": [choice]}))

    async def wake():
        return

    pump = Pump(surface.codec(asked), asked, checks, put, wake, lambda: None, lambda: 0.0)
    queues = []
    for number, (_, channel, text, *_) in enumerate(cases):
        cuts = sorted({0, len(text), *(rng.randrange(len(text) + 1) for _ in range(10))})
        events = deltas(channel, [text[a:b] for a, b in itertools.pairwise(cuts)])
        queues.append([e._replace(data=e.data.replace(b'"index":0,"delta"', b'"index":%d,"delta"' % number)) for e in events])
    while any(queues):
        pump.feed([rng.choice([queue for queue in queues if queue]).pop(0)])
        if rng.random() < 0.3:
            await pump.wait()
    pump.feed([sse.Event("", b'{"id":"x","choices":[],"usage":{"total_tokens":1}}'), sse.Event("", b"[DONE]")])
    await pump.finish()
    for client, (kind, channel, _, _, _, wanted) in zip(clients, cases, strict=True):
        if kind == "forbidden":
            assert wanted.startswith(client.texts[channel])
            assert client.finishes == ["content_filter"]
        else:
            assert client.texts[channel] == wanted
            assert client.finishes == ["stop"]
    refused = all(kind == "forbidden" for kind, *_ in cases)
    assert out[-1] == sse.DONE
    assert refused or b"usage" in out[-2], "the upstream is stopped, so its usage is not heard, only if every choice is refused"


@pytest.mark.parametrize("block", range(4))
def test_choices_do_not_mix(block):
    for seed in range(block * 50, block * 50 + 50):
        asyncio.run(interleaved(seed))


class Failing(Checks):
    """Fails at its ``at``-th check, in one way or the other."""

    def __init__(self, at, error):
        super().__init__("clean", "")
        self.at, self.error, self.count = at, error, 0

    def step(self):
        self.count += 1
        if self.count == self.at:
            raise self.error

    async def part(self, choice, prompt, probe):
        self.step()
        return await super().part(choice, prompt, probe)

    async def whole(self, said):
        self.step()
        return await super().whole(said)


@pytest.mark.parametrize("error", [unavailable(), RuntimeError("words of the reply"), MemoryError()], ids=lambda e: type(e).__name__)
def test_a_check_that_fails_at_any_moment_ends_the_stream(error, caplog):
    """Nothing that it was to approve is out, there is one error and no end mark, however far the stream had come."""
    text = "So it is said. And so it goes on, for a while. " * 3
    outs = []
    for at in range(1, 40):
        checks = Failing(at, error)
        client = asyncio.run(run(checks, "content", list(text), 0, eager=True))
        if checks.count < at:
            assert client.texts["content"] == text
            break
        assert client.errors == ["guardrail_unavailable"]
        assert not client.ended
        assert client.finishes == []
        outs.append(len(client.texts["content"]))
    assert len(outs) > 3
    assert outs == sorted(outs)
    assert outs[0] == 0
    assert max(outs) < len(text)
    assert "words of the reply" not in caplog.text
