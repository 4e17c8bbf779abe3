"""The Perspective and the OpenAI moderation judge against real servers on the loopback that speak their protocols."""

from __future__ import annotations

import time

import pytest
from moderation_servers import google_error, moderations, perspective, result, running

from charter.core.errors import InputError, ModelError
from charter.core.rows import Conversation
from charter.judges._spec import build_judge
from charter.models._perspective import Span, _score
from charter.models._pieces import pieces

KEY = "secret-key-1234"


#: A text that the service has lost.
GONE = "Gone for now. " * 300


@pytest.fixture(autouse=True)
def environment(monkeypatch):
    for name in ("OPENAI_API_KEY", "OPENAI_BASE_URL", "PERSPECTIVE_API_KEY", "HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def google():
    with running(perspective) as server:
        yield server


@pytest.fixture
def openai():
    with running(moderations) as server:
        yield server


def judge(server, **settings):
    return build_judge({"perspective": {"url": f"{server.url}/v1alpha1", "qps": 1000, "backoff_s": 0.01, **settings}})


def reply(text):
    return Conversation.ask("What do you think?").with_reply(text)


def test_perspective_sends_the_protocol_and_reads_scores_and_spans(google, monkeypatch):
    monkeypatch.setenv("PERSPECTIVE_API_KEY", KEY)
    text = "Fine work 🙂🙂. You idiot. Have a nice day."
    found = judge(google)(reply(text))
    assert (found.outcome, found.score, found.scores["insult"]) == ("unsafe", 0.9, 0.9)
    assert [text[a:b].strip() for a, b in found.spans] == ["You idiot."]
    path, headers, body = google.requests[0]
    assert path == "/v1alpha1/comments:analyze"
    assert headers["x-goog-api-key"] == KEY
    assert KEY not in path
    assert body["comment"] == {"text": text, "type": "PLAIN_TEXT"}
    assert (set(body["requestedAttributes"]), body["spanAnnotations"], body["doNotStore"]) == (
        {"TOXICITY", "SEVERE_TOXICITY", "IDENTITY_ATTACK", "INSULT", "PROFANITY", "THREAT"}, True, True,
    )  # fmt: skip
    assert judge(google)(reply("A calm sentence.")).outcome == "safe"
    assert judge(google, threshold=0.05)(reply("A calm sentence.")).outcome == "unsafe"


def test_it_judges_the_request_where_there_is_no_reply_or_as_told(google):
    assert judge(google)(Conversation.ask("You idiot")).outcome == "unsafe"
    assert judge(google, judge="request")(Conversation.ask("You idiot").with_reply("Hello")).outcome == "unsafe"
    assert judge(google, judge="reply")(Conversation.ask("You idiot")).outcome == "failed"
    assert judge(google)(reply("  ")).outcome == "failed"
    assert len(google.requests) == 2


def test_an_attribute_that_a_language_lacks_is_left_out_and_told(google):
    found = judge(google, attributes=["TOXICITY", "FLIRTATION"])(reply("řeka a idiot"))
    assert (found.outcome, set(found.scores)) == ("unsafe", {"toxicity"})
    assert found.reason == "not in this language: FLIRTATION"
    assert [set(body["requestedAttributes"]) for _, _, body in google.requests] == [{"TOXICITY", "FLIRTATION"}, {"TOXICITY"}]
    nothing = judge(google)(reply("nuqneH, idiot"))
    assert (nothing.outcome, nothing.score) == ("failed", None)
    assert "language" in nothing.reason
    only = judge(google, decide_by="FLIRTATION")(reply("řeka"))
    assert only.outcome == "failed"
    assert judge(google)(reply("12345")).reason == "the service cannot tell the language; set languages"


def test_long_texts_are_cut_into_pieces_and_no_tail_is_lost(google):
    text = "Nothing to see here. " * 3000 + "You idiot."
    found = judge(google)(reply(text))
    assert len(text) > 60_000
    assert len(google.requests) >= 4
    assert all(len(body["comment"]["text"].encode()) <= 20_480 for _, _, body in google.requests)
    assert found.outcome == "unsafe"
    assert any("You idiot." in text[a:b] for a, b in found.spans)


@pytest.mark.parametrize("lost", ["ř" * 3000, GONE])
def test_a_piece_that_is_unsafe_decides_whatever_a_lost_one_holds(lost):
    """Padding must not turn what was found into a failure; what was found harmless says nothing of the lost piece."""

    def breaks(path, body):
        return (503, {}, b"gone") if GONE in body["comment"]["text"] else perspective(path, body)

    padding = "Nothing to see here. " * 1500
    with running(breaks) as server:
        own = judge(server, retries=0, attributes=["TOXICITY", "FLIRTATION"], decide_by="FLIRTATION" if "ř" in lost else "TOXICITY")
        found = own(reply(f"You idiot. {padding}{lost}"))
        assert found.outcome == "unsafe"
        assert set(found.scores) == ({"flirtation", "toxicity"} if "ř" in lost else {"toxicity"}), "of what a lost piece lacks not all was told"
        assert found.reason
        harmless = own(reply(f"You there. {padding}{lost}"))
        assert (harmless.outcome, harmless.score) == ("failed", None)


def test_places_are_told_in_units_of_utf_16(google):
    text = "😀 you idiot 😀"
    found = judge(google)(reply(text))
    assert [text[a:b] for a, b in found.spans] == [text]
    spans = [{"begin": 3, "end": 12, "score": {"value": 1.0}}]
    answer = {"attributeScores": {"X": {"summaryScore": {"value": 1.0}, "spanScores": spans}}}
    assert _score(answer, "X", "😀 you idiot ")[1] == [Span(2, 11, 1.0)]  # the end is the number of characters of the text, by chance


def test_quota_waits_as_told_and_gives_up_as_failed(google):
    google.script = [(429, {"Retry-After": "0"}, {"error": {"code": 429, "status": "RESOURCE_EXHAUSTED"}}), (503, {}, b"busy")]
    assert judge(google)(reply("hello")).outcome == "safe"
    assert len(google.requests) == 3
    one = judge(google, retries=1)
    assert one(reply("hello")).outcome == "safe"
    google.script = [(429, {}, {})] * 2
    found = one(reply("hello again"))
    assert (found.outcome, found.reason) == ("failed", "the quota is used up (HTTP 429)")


BROKEN = {
    "cut answer": (200, {"Content-Length": "1000", "Connection": "close"}, b'{"attributeScores":'),
    "cut error": (503, {"Content-Length": "1000", "Connection": "close"}, b'{"error":'),
    "cut refusal": (400, {"Content-Length": "1000", "Connection": "close"}, b'{"error":'),
    "no HTTP": (0, {}, b"garbage\r\n\r\n"),
    "nothing": (0, {}, b""),
    "slow answer": (200, {"Content-Length": "1000"}, b'{"attributeScores":'),
    "slow error": (503, {"Content-Length": "1000"}, b'{"error":'),
}


@pytest.mark.parametrize("answer", BROKEN.values(), ids=list(BROKEN))
def test_a_connection_that_breaks_is_tried_again_and_then_failed(google, openai, answer):
    for server, make in ((google, lambda **s: judge(google, **s)), (openai, lambda **s: moderation(openai, client={"backoff_s": 0.01, **s}))):
        server.script = [answer]
        own = make(retries=1, timeout_s=0.3)
        assert own(reply("hello")).outcome == "safe"
        server.script = [answer, answer]
        found = own(reply("hello"))
        assert (found.outcome, found.score) == ("failed", None)
        assert "connection broke" in found.reason or "no answer" in found.reason or "HTTP" in found.reason


def test_the_pace_of_the_quota_is_kept(google):
    slow = judge(google, qps=20)
    started = time.monotonic()
    for _ in range(5):
        slow(reply("hello"))
    assert time.monotonic() - started >= 4 / 20


@pytest.mark.parametrize(
    "answer",
    [
        b"not json", [], {"attributeScores": {}}, {"attributeScores": {"TOXICITY": {"summaryScore": {"value": "high"}}}},
        {"attributeScores": {"TOXICITY": {"summaryScore": {"value": 7}}}}, {"attributeScores": {"TOXICITY": None}},
        {"attributeScores": {"TOXICITY": {"summaryScore": {"value": float("nan")}}}},
    ],
)  # fmt: skip
def test_answers_that_cannot_be_read_are_failed_not_safe(google, answer):
    found_judge = judge(google, retries=0, attributes=["TOXICITY"])
    assert found_judge(reply("hello")).outcome == "safe"
    google.script = [(200, {}, answer)]
    found = found_judge(reply("hello"))
    assert (found.outcome, found.score) == ("failed", None)


@pytest.mark.parametrize("status", [400, 403])
def test_a_wrong_key_is_an_error_with_the_next_command(google, status, monkeypatch):
    monkeypatch.setenv("PERSPECTIVE_API_KEY", KEY)
    google.script = [google_error(status, "API key not valid.", reason="API_KEY_INVALID")]
    with pytest.raises(ModelError, match="refused the key") as caught:
        judge(google)(reply("hello"))
    assert caught.value.hint == "export PERSPECTIVE_API_KEY=..."
    assert KEY not in str(caught.value)


def test_a_service_that_is_not_there_is_an_error():
    with running(perspective) as server:
        url = server.url
    with pytest.raises(ModelError, match="connection refused"):
        build_judge({"perspective": {"url": url, "retries": 0}})(reply("hello"))
    with pytest.raises(ModelError, match="PERSPECTIVE_API_KEY is empty"):
        build_judge("perspective")
    with pytest.raises(InputError, match="not the URL"):
        build_judge({"perspective": {"url": "ftp://x"}})
    with pytest.raises(InputError, match="not the URL"):
        build_judge({"perspective": {"url": "https://x/?key=secret"}})


# --- OpenAI


def moderation(server, **settings):
    return build_judge({"openai_moderation": {"model": f"omni-moderation-latest@{server.url}/v1", "client": {"backoff_s": 0.01}, **settings}})


def test_moderation_sends_the_protocol_and_reads_categories(openai, monkeypatch):
    monkeypatch.setenv("MY_KEY", KEY)
    found = moderation(openai, client={"api_key_env": "MY_KEY"})(reply("This is a threat."))
    assert (found.outcome, found.score, found.label, found.hazards) == ("unsafe", 0.93, "violence", ("S1",))
    assert found.scores["toxicity"] == 0.93
    assert found.scores["hate"] == 0.01
    assert found.reason == "by omni-moderation-2024-09-26"
    path, headers, body = openai.requests[0]
    assert path == "/v1/moderations"
    assert headers["authorization"] == f"Bearer {KEY}"
    assert body == {"model": "omni-moderation-latest", "input": ["This is a threat."]}
    assert moderation(openai)(reply("I want to hurt myself")).hazards == ("S11",)
    assert moderation(openai)(reply("Hello")).outcome == "safe"
    assert moderation(openai, threshold=0.95)(reply("a threat")).outcome == "safe"


def test_many_texts_share_requests_and_keep_their_order(openai):
    asked = [reply("a threat" if i % 3 == 0 else "hello") for i in range(40)]
    found = moderation(openai).batch([*asked, reply(" ")])
    assert [v.outcome for v in found] == ["unsafe" if i % 3 == 0 else "safe" for i in range(40)] + ["failed"]
    assert sorted(len(body["input"]) for _, _, body in openai.requests) == [8, 16, 16]


def test_long_texts_are_moderated_to_the_end(openai):
    text = "Nothing to see here. " * 2000 + "This is a threat."
    assert moderation(openai)(reply(text)).outcome == "unsafe"
    assert all(len(piece) <= 8000 for _, _, body in openai.requests for piece in body["input"])


def test_moderation_retries_and_then_fails(openai):
    openai.script = [(429, {"Retry-After": "0"}, {"error": {"message": "slow down"}}), (500, {}, {"error": {"message": "oops"}})]
    assert moderation(openai)(reply("hello")).outcome == "safe"
    judge = moderation(openai, client={"retries": 0})
    openai.script = [(500, {}, {"error": {"message": "oops"}})]
    found = judge(reply("hello"))
    assert (found.outcome, found.score) == ("failed", None)


GOOD = result("hello")


@pytest.mark.parametrize(
    "results",
    [
        None, [], [GOOD, GOOD], [{}], [{**GOOD, "category_scores": {}}], [{**GOOD, "flagged": "no"}], [{**GOOD, "category_scores": {"hate": 2}}],
        [{**GOOD, "category_scores": {"hate": None}}], [{**GOOD, "categories": None}], ["safe"],
    ],
)  # fmt: skip
def test_results_of_another_form_are_failed_not_safe(openai, results):
    openai.script = [(200, {}, {"id": "x", "model": "m", "results": results})]
    found = moderation(openai, client={"retries": 0})(reply("hello"))
    assert (found.outcome, found.score) == ("failed", None)


@pytest.mark.parametrize(("threshold", "outcome"), [(None, "unsafe"), (0.9, "unsafe"), (0.95, "failed")])
def test_a_lost_piece_fails_unless_another_one_is_unsafe(openai, threshold, outcome):
    """What the service flags, a threshold may not: then nobody knows what the lost piece held."""
    openai.script = [(200, {}, {"id": "x", "model": "m", "results": [result("a threat"), {}, GOOD]})]
    found = moderation(openai, threshold=threshold, client={"retries": 0})(reply("Nothing to see here. " * 1000))
    assert found.outcome == outcome
    assert (found.score is None) == (outcome == "failed")


def test_wrong_settings_of_the_client_are_named(openai):
    with pytest.raises(InputError, match="did you mean 'timeout_s'"):
        moderation(openai, client={"timeout": 3})
    with pytest.raises(ModelError, match="OPENAI_API_KEY is empty"):
        build_judge("openai_moderation")
    with pytest.raises(ModelError, match="404"):
        build_judge({"openai_moderation": {"model": f"none-such@{openai.url}/v1"}})(reply("hello"))


@pytest.mark.parametrize("text", ["a" * 1000, "word " * 300, "🙂" * 500, "ř" * 700, "", "one", "a\n" * 400])
def test_pieces_hold_everything_and_fit(text):
    def size(piece):
        return len(piece.encode())

    cut = pieces(text, 100, size, 10)
    assert all(size(piece) <= 100 for _, piece in cut)
    assert all(text[start : start + len(piece)] == piece for start, piece in cut)
    covered = set()
    for start, piece in cut:
        covered |= set(range(start, start + len(piece)))
    assert covered == set(range(len(text)))
    assert len(cut) < 3 + size(text) / 30
