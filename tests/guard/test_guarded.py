"""A guard around a model, and around anything that answers like one."""

from __future__ import annotations

import asyncio
import pickle

import pytest
from openai.types import chat

from charter.core.errors import InputError
from charter.core.rows import Conversation
from charter.guard.engine import BlockedError, Guard
from charter.guard.policy import GuardPolicy, RailEntry
from charter.models import load_model

MAIL = "jane@example.com"


@pytest.fixture
def guard(fakes):
    """Blocks NO in requests and SECRET in replies, masks an address both ways."""
    mask = {"rail": "length", "name": "mask", "action": "mask"}
    policy = GuardPolicy(
        input=(RailEntry(rail="length", name="no"), RailEntry(**mask)),
        output=(RailEntry(rail="length", name="secret"),),
        stream={"hold_chars": 16, "window_chars": 20},
    )
    return Guard(policy, rails={"no": fakes.finds("NO"), "mask": fakes.finds(MAIL, "EMAIL"), "secret": fakes.finds("SECRET")})


def test_reply(guard):
    model = load_model(
        "scripted", rules=[{"match": "tell", "reply": "The SECRET is out."}, {"match": "fail", "error": "gone"}], default="Fine: <EMAIL_1>."
    )
    fine = guard.reply(model, Conversation.ask(f"Write to {MAIL}"))
    assert (fine.text, fine.finish, fine.blocked) == (f"Fine: {MAIL}.", "stop", False)
    assert fine.input.action == "mask"
    for prompt, stage in (("NO way", "input"), ("tell me", "output")):
        held = guard.reply(model, Conversation.ask(prompt))
        assert (held.finish, held.blocked) == ("content_filter", True)
        assert held.text
        assert "SECRET" not in held.text
        assert (held.output is None) == (stage == "input") == (held.reply is None), "a withheld request never reaches the model"
    failed = guard.reply(model, Conversation.ask("fail"))
    assert (failed.text, failed.finish, failed.output) == ("", "error", None)
    assert asyncio.run(guard.areply(model, Conversation.ask("tell me"))).finish == "content_filter"
    assert asyncio.run(guard.areply(model, Conversation.ask(f"Write to {MAIL}"))).text == f"Fine: {MAIL}."


def test_a_broken_guard_says_so_and_not_that_the_text_was_bad(fakes, talk):
    def broken(conversation, stage):
        raise RuntimeError

    held = fakes.guard({"a": broken}).reply(load_model("scripted"), talk)
    assert held.finish == "unavailable"
    assert "did not finish" in held.text


def said(prompt):
    text = prompt if isinstance(prompt, str) else prompt.prompt if isinstance(prompt, Conversation) else prompt[-1]["content"]
    return "The SECRET is out." if "tell" in text else f"You said: {text}"


def kinds(guard, **settings):
    """The same guarded answerer as a function, a coroutine, a generator and an async generator: all as plain functions."""

    @guard.wrap(**settings)
    def plain(prompt):
        return said(prompt)

    @guard.wrap(**settings)
    async def waiting(prompt):
        return said(prompt)

    @guard.wrap(**settings)
    def pieces(prompt):
        yield from said(prompt)

    @guard.wrap(**settings)
    async def waiting_pieces(prompt):
        for letter in said(prompt):
            yield letter

    async def collect(prompt):
        return "".join([piece async for piece in waiting_pieces(prompt)])

    return {
        "function": plain,
        "coroutine": lambda p: asyncio.run(waiting(p)),
        "generator": lambda p: "".join(pieces(p)),
        "async generator": lambda p: asyncio.run(collect(p)),
    }


@pytest.mark.parametrize("kind", ["function", "coroutine", "generator", "async generator"])
def test_any_callable_can_be_guarded(guard, kind):
    ask = kinds(guard)[kind]
    assert ask(f"Write to {MAIL} now") == f"You said: Write to {MAIL} now", "masked on the way in, put back on the way out"
    assert ask([{"role": "user", "content": f"Write to {MAIL}"}]) == f"You said: Write to {MAIL}"
    assert ask(Conversation.ask("Hello")) == "You said: Hello"
    for prompt in ("NO", "tell me"):
        assert "SECRET" not in ask(prompt)
        assert ask(prompt)
        with pytest.raises(BlockedError) as caught:
            kinds(guard, on_block="raise")[kind](prompt)
        assert caught.value.checked.action == "block"
        assert "SECRET" not in str(caught.value)


def test_the_model_sees_the_masked_request(guard):
    seen = []
    ask = guard.wrap(lambda prompt: seen.append(prompt) or "ok")
    ask(f"Write to {MAIL}")
    ask([{"role": "user", "content": [{"type": "text", "text": MAIL}], "name": "jo"}])
    ask(Conversation.ask(MAIL))
    assert seen == [
        "Write to <EMAIL_1>",
        [{"role": "user", "content": [{"type": "text", "text": "<EMAIL_1>"}], "name": "jo"}],
        Conversation.ask("<EMAIL_1>"),
    ]


def test_messages_of_the_sdk_are_sent_back_as_they_came(guard):
    """As everybody does with ``completion.choices[0].message``: an object, or a dictionary full of None."""
    function = chat.ChatCompletionMessageFunctionToolCall(id="c", type="function", function={"name": "mail", "arguments": f'{{"to": "{MAIL}"}}'})
    called = chat.ChatCompletionMessage(role="assistant", tool_calls=[function], annotations=[])
    seen = []
    ask = guard.wrap(lambda messages: seen.append(messages) or "ok")
    anew = {"role": "assistant", "content": None, "refusal": "", "tool_calls": called.tool_calls}
    for message in (called, called.model_dump(), anew):
        assert ask([{"role": "user", "content": "Hello"}, message, {"role": "tool", "tool_call_id": "c", "content": "sent"}]) == "ok"
        assert seen[-1][1]["tool_calls"][0]["function"]["arguments"] == '{"to": "<EMAIL_1>"}'
        assert guard.check([message, {"role": "user", "content": "NO"}], "input").action == "block"
    refused = chat.ChatCompletionMessage(role="assistant", refusal="NO")
    with pytest.raises(InputError, match="the key 'refusal' is not known"):
        ask([refused])


@pytest.mark.parametrize("calls", [5, [5], "call", {"function": {}}])
def test_tool_calls_of_another_kind_are_told_in_one_line(guard, calls):
    with pytest.raises(InputError, match="message 0: tool_calls is no list of tool calls"):
        guard.check([{"role": "assistant", "content": "", "tool_calls": calls}], "input")


@pytest.mark.parametrize("answer", [None, 3, b"bytes", ["a"], {"text": "x"}])
def test_what_is_no_text_cannot_be_checked_and_does_not_pass(guard, answer):
    with pytest.raises(TypeError, match="must return text"):
        guard.wrap(lambda prompt: answer)("Hello")


@pytest.mark.parametrize(
    ("messages", "told"),
    [
        ([{"role": "wizard", "content": "x"}], "the role 'wizard' is not known"),
        ([{"role": "user", "content": [{"type": "hologram", "data": "x"}]}], "a part of type 'hologram' cannot be checked"),
        ([{"role": "user", "content": "x", "aside": "hidden"}], "the key 'aside' is not known"),
        ([{"role": "user", "content": 3}], "content is neither text nor a list"),
        ([{"role": "assistant", "content": "", "tool_calls": [{"function": {"name": "f"}}]}], "a tool call needs"),
        ([{"role": "user", "content": "x", "name": "say NO"}], "is not a plain name"),
        ([], "needs a prompt"),
        (3, "needs a prompt"),
        (["x"], "needs a prompt"),
    ],
)
def test_messages_that_could_not_be_read_whole_are_refused(guard, messages, told):
    with pytest.raises(InputError, match=told):
        guard.wrap(lambda prompt: "ok")(messages)


def test_a_blocked_error_survives_pickling(guard):
    error = BlockedError("withheld by the guard: a")
    assert str(pickle.loads(pickle.dumps(error))) == str(error)
    with pytest.raises(ValueError, match="refuse or raise"):
        guard.wrap(on_block="shout")


MESSAGES = [{"role": "user", "content": f"Write to {MAIL}"}]


class Bot:
    """Answers in every form that a callable can have."""

    async def __call__(self, prompt):
        return said(prompt)


class Pieces:
    def __call__(self, prompt):
        yield from said(prompt)


def test_the_prompt_is_found_by_the_signature_and_not_by_its_place(guard):
    seen = []

    @guard.wrap
    def chat(model, messages, temperature=0.0):
        seen.append((model, messages, temperature))
        return said(messages)

    for ask in (lambda m: chat("gpt", m), lambda m: chat(messages=m, model="gpt"), lambda m: chat("gpt", m, temperature=0.0)):
        assert ask(MESSAGES) == f"You said: Write to {MAIL}"
        assert seen.pop() == ("gpt", [{"role": "user", "content": "Write to <EMAIL_1>"}], 0.0)
        ask([{"role": "user", "content": "NO"}])
        assert seen == []

    @guard.wrap
    def only(*, messages):
        return said(messages)

    assert only(messages=MESSAGES) == f"You said: Write to {MAIL}"
    named = guard.wrap(lambda text, history: said(text), argument="text")
    assert named(MAIL, "NO") == f"You said: {MAIL}"
    with pytest.raises(TypeError, match="missing a required argument"):
        chat("gpt")
    with pytest.raises(InputError, match="needs a prompt"):
        guard.wrap(lambda prompt=None: "ok")()


def test_methods_and_objects_that_can_be_called(guard):
    class Service:
        @guard.wrap
        def ask(self, prompt):
            return said(prompt)

        @classmethod
        @guard.wrap
        def make(cls, prompt, *, loud=False):
            return said(prompt)

        @staticmethod
        @guard.wrap
        def plain(prompt):
            return said(prompt)

    for ask in (Service().ask, Service.make, Service.plain, guard.wrap(Service().ask), lambda p: asyncio.run(guard.wrap(Bot())(p))):
        assert ask(f"Write to {MAIL}") == f"You said: Write to {MAIL}"
        assert "SECRET" not in ask("tell me")
    for pieces in (guard.wrap(Pieces()), guard.wrap(lambda prompt: iter(said(prompt)))):
        assert "".join(pieces(f"Write to {MAIL}")) == f"You said: Write to {MAIL}"
        assert "SECRET" not in "".join(pieces("tell me"))


@pytest.mark.parametrize(
    ("function", "argument", "told"),
    [
        (lambda a, b: "ok", None, "does not tell which argument is the prompt; it has: a, b"),
        (lambda prompt, messages: "ok", None, "which argument is the prompt"),
        (lambda *args, **kwargs: "ok", None, "it has: none by name"),
        (lambda: "ok", None, "which argument is the prompt"),
        (lambda prompt: "ok", "text", "does not tell an argument 'text'; it has: prompt"),
        (classmethod(lambda cls, prompt: "ok"), None, "has no signature to read"),
    ],
)
def test_what_leaves_open_which_argument_is_guarded_is_refused_when_it_is_wrapped(guard, function, argument, told):
    with pytest.raises(InputError, match=told):
        guard.wrap(function, argument=argument)


def test_what_only_says_when_called_that_it_must_be_awaited_is_told_how(guard):
    bot = Bot()
    with pytest.raises(TypeError, match="must be written with async def"):
        guard.wrap(lambda prompt: bot(prompt))("Hello")


def test_a_text_or_messages_can_be_checked_as_they_are(guard):
    model = load_model("scripted", default="Fine.")
    assert guard.check("NO", "input").action == guard.check([{"role": "user", "content": "NO"}], "input").action == "block"
    assert asyncio.run(guard.acheck("NO", "input")).action == "block"
    assert [c.action for c in guard.check_many(["NO", "yes"], "input")] == ["block", "allow"]
    assert guard.reply(model, "yes").text == "Fine."
    answered = [{"role": "user", "content": "x"}, {"role": "assistant", "content": "SECRET"}]
    assert guard.check(answered, "output").action == "block"
    with pytest.raises(InputError, match="there is no reply to check"):
        guard.check("SECRET", "output")
    with pytest.raises(InputError, match="a list of texts"):
        guard.check_many("NO", "input")
