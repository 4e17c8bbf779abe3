"""Once the gateway is told to stop, a client that keeps its connection open sends its next request elsewhere."""

from __future__ import annotations

import contextlib
import http.client
import json
import signal

import pytest
from gateway_upstream import says

CHAT = "/v1/chat/completions"


@pytest.mark.parametrize("path", [CHAT, "/readyz"])
@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
def test_answers_while_the_end_is_announced_are_the_last_of_their_connection(launch, path, stream):
    running = launch(shutdown={"announce_s": 5.0, "drain_s": 5.0})
    running.upstream.script = says("Hello.")
    body = json.dumps({"model": "m", "messages": [{"role": "user", "content": "hi"}], "stream": stream})

    def ask(client):
        if path == CHAT:
            client.request("POST", path, body, {"content-type": "application/json"})
        else:
            client.request("GET", path)
        answer = client.getresponse()
        answer.read()
        return answer.headers.get_all("connection"), answer.status

    with contextlib.closing(http.client.HTTPConnection("127.0.0.1", running.port, timeout=10)) as client:
        assert ask(client) == (None, 200)
        running.loop.loop.call_soon_threadsafe(running.server.handle_exit, signal.SIGTERM, None)
        running.loop(_turn())
        assert ask(client) == (["close"], 200 if path == CHAT else 503)
    running.server._announce_s = 0.0  # the rest of the announcement is not waited for


async def _turn():
    """What was scheduled before is done."""
