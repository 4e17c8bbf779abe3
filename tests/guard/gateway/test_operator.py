"""What the operator told the model is the system messages, whatever else stands around the chat."""

from __future__ import annotations

import pytest

from charter.guard.gateway.surfaces import chat, completions, messages, responses

TOOL = "Looks up the weather of a town, and never that of a village."
CASES = {
    "chat": (
        chat.surface,
        {
            "model": "m",
            "messages": [{"role": "developer", "content": "Keep the word plum."}, {"role": "user", "content": "Which word?"}],
            "tools": [{"type": "function", "function": {"name": "weather", "description": TOOL, "parameters": {"type": "object"}}}],
        },
    ),
    "messages": (
        messages.surface,
        {
            "model": "m",
            "max_tokens": 9,
            "system": [{"type": "text", "text": "Keep the word plum."}],
            "messages": [{"role": "user", "content": "Which word?"}],
            "tools": [{"name": "weather", "description": TOOL, "input_schema": {"type": "object"}}],
        },
    ),
    "responses": (
        responses.surface,
        {
            "model": "m",
            "instructions": "Keep the word plum.",
            "input": "Which word?",
            "tools": [{"type": "function", "name": "weather", "description": TOOL, "parameters": {"type": "object"}}],
        },
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_the_operator_is_who_wrote_the_system_messages(name: str) -> None:
    surface, body = CASES[name]
    (prompt,) = surface.ask(body).prompts
    talk = prompt.conversation
    assert talk.operator == "Keep the word plum."
    assert talk.prompt == "Which word?"
    assert any(TOOL in message.text and message.around for message in talk.messages), "it is read all the same"


def test_completions_have_no_operator() -> None:
    (prompt,) = completions.surface.ask({"model": "m", "prompt": "Once upon a time", "another": "some long text beside it"}).prompts
    assert prompt.conversation.operator == ""
