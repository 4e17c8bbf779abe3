"""Strict JSON and server-sent events: whatever two parsers could read in two ways is refused, and no way of cutting a stream changes its events."""

from __future__ import annotations

import itertools
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from charter.guard.gateway.wire import errors, sse, strict

JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63) | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=12,
)


@given(st.dictionaries(st.text(max_size=8), JSON, max_size=5))
def test_what_is_written_is_read_back(value):
    assert strict.read_object(json.dumps(value).encode()) == value
    assert strict.read_object(strict.write(value)) == value


@pytest.mark.parametrize(
    ("raw", "kind"),
    [
        (b'{"a": 1, "a": 2}', "a key stands twice"),
        (b'{"a": {"b": [{"c": 1, "c": 1}]}}', "a key stands twice"),
        (b'{"a": 1, "\\u0061": 2}', "a key stands twice"),
        (b'{"a": NaN}', "not JSON"),
        (b'{"a": Infinity}', "not JSON"),
        (b'{"a": 1e999}', "not JSON"),
        (b'{"a": "\xff"}', "not UTF-8"),
        (b'{"a": "\xed\xa0\x80"}', "not UTF-8"),
        (b'{"a": "\\ud800"}', strict.LONE),
        (b'{"a": "\\ud83d\\ude00 \\ude00"}', strict.LONE),
        (b'{"a": "\\ud83d\\ude00 \\q"}', "not JSON"),
        (b'{"a": "\x01"}', "not JSON"),
        (b'{"a": 1} {"b": 1}', "not JSON"),
        (b'{"a": 1,}', "not JSON"),
        (b"{'a': 1}", "not JSON"),
        (b'\xef\xbb\xbf{"a": 1}', "not JSON"),
        (b"", "not JSON"),
        (b"[]", "not an object"),
        (b"null", "not an object"),
        (b'{"a": ' + b"[" * 80 + b"]" * 80 + b"}", "nested too deep"),
        (b'{"a": ' * 100_000, "nested too deep"),
        (b'{"a": [' + b",".join([b"1"] * 30_000) + b"]}", "too many values"),
        (b'{"a": [' + b",".join([b'{"role": "user", "content": "a"}'] * 7_000) + b"]}", "too many values"),
        (b'{"a": ' + b"1" * 5000 + b"}", "not JSON"),
    ],
    ids=str,
)
def test_ambiguous_json_is_refused(raw, kind):
    with pytest.raises(strict.NotJsonError) as told:
        strict.read_object(raw)
    assert told.value.kind in (kind, "not JSON")
    if kind != "not JSON":
        assert told.value.kind == kind


def test_many_brackets_side_by_side_are_no_depth():
    assert len(strict.read_object(b'{"a": [' + b",".join([b"[]"] * 500) + b"]}")["a"]) == 500
    assert len(strict.read_object(b'{"a": [' + b",".join([b"1"] * 30_000) + b"]}", 40_000)["a"]) == 30_000
    assert len(strict.read_object(b'{"a": ["' + b"x" * 1_000_000 + b'"]}')["a"]) == 1


TEXT = st.text(st.characters(exclude_characters="\r\n", exclude_categories=["Cs"]), max_size=20)


@given(st.lists(st.tuples(st.sampled_from(["", "delta", "done"]), TEXT), max_size=6), st.sampled_from(["\n", "\r\n", "\r"]), st.data())
def test_no_way_of_cutting_changes_the_events(events, end, data):
    """Cut in the middle of a letter, of a CRLF, of a field's name: the same events come out."""
    told = "".join(f"{f'event: {name}{end}' if name else ''}: a comment{end}data: {text}{end}id: 7{end}{end}" for name, text in events).encode()
    cuts = sorted({0, len(told), *data.draw(st.lists(st.integers(0, len(told)), max_size=12))})
    reader = sse.Reader()
    found = [event for a, b in itertools.pairwise(cuts) for event in reader.feed(told[a:b])]
    assert found == [sse.Event(name, text.encode()) for name, text in events]
    assert not reader.pending


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_every_two_way_cut(end):
    told = f"﻿data: {{é👩‍👧{end}data:}}{end}{end}data{end}{end}data: [DONE]{end}{end}".encode()
    for cut in range(len(told) + 1):
        reader = sse.Reader()
        assert [e.data.decode() for e in [*reader.feed(told[:cut]), *reader.feed(told[cut:])]] == ["{é👩‍👧\n}", "", "[DONE]"]


def test_an_event_without_end_is_refused_and_an_unfinished_one_is_none():
    for piece in (b"data: " + b"x" * 50, b"data: " + b"x" * 50 + b"\n"):
        reader = sse.Reader(max_event_bytes=1000)
        with pytest.raises(sse.FrameTooLargeError):
            [reader.feed(piece) for _ in range(100)]
    reader = sse.Reader()
    assert reader.feed(b"data: {}\n") == []
    assert reader.pending


def test_what_is_written_as_an_event_is_one_event():
    """No text can end an event early or add a field to it."""
    value = {"text": "a\n\ndata: [DONE]\n\n\r\revent: x\u2028"}
    [found] = sse.Reader().feed(sse.event(value, "delta"))
    assert found.name == "delta"
    assert strict.read(found.data) == value


def test_errors_in_both_dialects():
    error = errors.content_filter("no", "messages", {"hate": True})
    told = errors.body(error, "openai", "r1", "d1")["error"]
    assert (told["code"], told["type"], told["param"], told["innererror"]["code"]) == (
        "content_filter",
        "invalid_request_error",
        "messages",
        "ResponsibleAIPolicyViolation",
    )
    assert (b"x-should-retry", b"false") in error.all_headers()
    assert errors.body(errors.unavailable(), "anthropic", "r1") == {
        "type": "error",
        "error": {
            "type": "overloaded_error",
            "message": "a safety check did not finish, so the text is withheld",
            "code": "guardrail_unavailable",
            "request_id": "r1",
        },
        "request_id": "r1",
    }
