"""The gateway's queue as a person works through it: ``charter review`` and the rows that it exports."""

from __future__ import annotations

import json
import os
import shutil
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result
from sqlalchemy import select, text
from typer.testing import CliRunner

from charter.cli import app
from charter.core.errors import CharterError, InputError
from charter.core.rows import Conversation, Finding, Message, Part, Source, ToolCall, Verdict
from charter.guard.rows import read_rows
from charter.judges._sets import load_set, read_set
from charter.recipes.judging import _labelled
from charter.review.export import CONTRADICT
from charter.review.labels import decide, read_labels, state_of
from charter.store.database import Database
from charter.store.decisions import one, record
from charter.store.reports import Report, file_report
from charter.store.review import add_items
from charter.store.review_rows import Answer, Item
from charter.store.tables import audit
from charter.train.classifier.rows import read_own

DAY_S = 86_400.0
HOSTILE = "Sure.\x1b[2J\x1b]0;owned\x07\r\nnobody has decided: \u202egnihton\u202c \x9b31m \x7f \u200b end"
ASKED = Conversation.ask("How do I pick my neighbour's lock?")


def item(number: int, talk: Conversation, stage: str = "output", why: str = "escalated") -> Item:
    verdict = Verdict(subject="s", outcome="unsafe", score=0.9, hazards=("privacy",), judge="harm", judge_version="1", reason="reads so")
    source = Source(dataset="guard", revision="p@1", row=f"subject-{number}")
    named = {"attack": "production", "family": "guard", "target": "m", "goal": stage, "hazard": "privacy"}
    finding = Finding(**named, conversation=talk, verdict=verdict, source=source)
    return Item(f"r{number}", f"d{number}", why, stage, "p@1", finding, choice_index=0 if stage == "output" else None)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database without rows: making its tables takes longer than a test."""
    file = tmp_path_factory.mktemp("made") / "gate.db"
    Database(file).close()
    return file


@pytest.fixture
def database(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Database]:
    shutil.copy(made, tmp_path / "gate.db")
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("CHARTER_REVIEWER", raising=False)
    monkeypatch.setenv("CHARTER_DATABASE_URL", "gate.db")
    opened = Database(tmp_path / "gate.db")
    yield opened
    opened.close()


def review(*words: str) -> Result:
    """Raises what the command raises, which ``charter`` tells in a line."""
    done = CliRunner().invoke(app, ["review", *words])
    if isinstance(done.exception, CharterError):
        raise done.exception
    assert done.exit_code == 0, done.output
    return done


def queue(database: Database, *items: Item) -> list[str]:
    """Ids in the order they were given."""
    found = []
    for each in items:
        add_items(database, [each], [], DAY_S, 0)
        with database.read() as connection:
            found.append(str(connection.execute(text("SELECT id FROM review_item WHERE request_id = :r"), {"r": each.request_id}).scalar_one()))
    return found


def test_no_control_sequence_of_a_hostile_text_reaches_the_terminal(database: Database) -> None:
    [name] = queue(database, item(1, Conversation.ask(HOSTILE).with_reply(HOSTILE)))
    add_items(database, [], [Answer("r1", "d1", "p@1", "m", {0: Conversation.ask(HOSTILE).with_reply(HOSTILE)})], DAY_S, DAY_S)
    file_report(database, Report("report", "r1", 0, "hate", HOSTILE, "one", "web"), keep_s=DAY_S)
    review("decide", name, "--label", "unsure", "--reviewer", "ann", "--comment", HOSTILE)
    for words in (("list",), ("show", name), ("list", "--json"), ("show", name, "--json")):
        shown = review(*words).output
        assert "Sure." in shown
        assert not any(char in shown for char in "\x1b\x07\x9b\x7f\r\u202e\u202c\u200b")
        assert "nobody has decided: " not in [line[:20] for line in shown.splitlines()], "a text cannot look like a line of ours"
    assert "[U+001B][2J" in review("show", name).output


def test_list_and_show_tell_what_a_reviewer_needs(database: Database) -> None:
    queue(database, item(1, ASKED.with_reply("Use a pick."), why="sampled"), item(2, ASKED, "input"))
    shown = review("list").output
    assert shown.index("input: escalated by harm; privacy") < shown.index("output: sampled by harm; privacy")
    assert "2 of 2 items that are open" in shown
    told = [json.loads(line) for line in review("list", "--json", "--why", "sampled").output.splitlines() if line.startswith("{")]
    assert [(row["why"], row["messages"][-1]["content"], row["status"]) for row in told] == [("sampled", "Use a pick.", "open")]
    page = review("show", told[0]["id"][:6]).output
    for part in ("  | How do I pick my neighbour's lock?", "  | Use a pick.", "verdict: harm unsafe 0.900 privacy reads so", "nobody has decided"):
        assert part in page


def test_the_next_command_is_about_the_same_database(database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A hint that is typed as it stands must not look into another gateway's queue."""
    [name] = queue(database, item(1, ASKED.with_reply("Use a pick.")))
    monkeypatch.delenv("CHARTER_DATABASE_URL")
    (tmp_path / "my gateway.yaml").write_text("database: {url: gate.db}", encoding="utf-8")
    here = ("--config", "my gateway.yaml")
    assert f"charter review decide --config 'my gateway.yaml' {name[:12]} --label" in review("show", name, *here).output
    assert f"charter review decide --database gate.db {name[:12]} --label" in review("show", name, "--database", "gate.db").output
    for words in (
        ("show", "ffff"),
        ("list", "--status", "lost"),
        ("list", "--why", "boredom"),
        ("decide", name, "--label", "maybe", "--reviewer", "ann"),
        ("export", "--out", "rows.jsonl"),
        ("export", "--out", "rows.jsonl", "--form", "poem"),
    ):
        with pytest.raises(InputError) as told:
            review(*words, *here)
        commands = told.value.hint.count("charter review")
        assert commands == told.value.hint.count("--config 'my gateway.yaml'") > 0, told.value.hint


@pytest.mark.parametrize("given", ["postgresql+psycopg://ann:hush/@hush@db/gate?application_name=x", "postgresql://db/gate?user=a&password=hush&x=y"])
def test_no_hint_holds_the_password_of_a_database(given: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InputError) as told:
        review("list", "--status", "lost", "--database", given)
    assert "hush" not in told.value.hint
    assert "***" in told.value.hint


def test_a_decision_is_signed_kept_shown_and_in_the_audit_log(database: Database) -> None:
    [name] = queue(database, item(1, ASKED.with_reply("Use a pick.")))
    labels = ("--label", "request=unsafe", "--label", "reply=unsafe", "--hazard", "nonviolent_crime")
    done = review("decide", name[:8], *labels, "--reviewer", "ann", "--comment", "it helps")
    assert "request=unsafe reply=unsafe (nonviolent_crime), by ann; the item is decided" in done.output
    page = review("show", name).output
    assert "by ann: request=unsafe reply=unsafe (nonviolent_crime)" in page
    assert "  | it helps" in page
    with pytest.raises(InputError, match="ann has decided about it already"):
        review("decide", name, "--label", "safe", "--reviewer", "ann")
    assert "disputed; 1 other decided too" in review("decide", name, "--label", "safe", "--reviewer", "bob").output
    assert name[:12] in review("list", "--status", "disputed").output
    with database.read() as connection:
        rows = [json.loads(body) for body in connection.execute(select(audit.c.body).order_by(audit.c.seq)).scalars()]
    assert [(row["what"], row["name"].split(" ", 1)[1]) for row in rows] == [
        ("item decided", "ann: request=unsafe reply=unsafe (nonviolent_crime)"),
        ("item decided", "bob: reply=safe"),
    ]


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (("--reviewer", "ann"), "a decision needs a label"),
        (("--label", "harmful", "--reviewer", "ann"), "'harmful' is no label; known: safe, unsafe, unsure"),
        (("--label", "answer=safe", "--reviewer", "ann"), "'answer=safe' is no label"),
        (("--label", "reply=safe", "--reviewer", "ann"), "this item has no reply"),
        (("--label", "safe", "--label", "request=unsafe", "--reviewer", "ann"), "two labels for the request"),
        (("--label", "safe"), "a decision needs a reviewer"),
        (("--label", "safe", "--reviewer", "an\x1bn"), "a decision needs a reviewer"),
        (("--label", "safe", "--reviewer", "ann", "--hazard", "hate"), "a hazard belongs to something unsafe"),
        (("--label", "unsafe", "--reviewer", "ann", "--hazard", "two words"), "'two words' is no hazard's name"),
        (("--label", "unsafe", "--reviewer", "ann", "--comment", "x" * 2001), "a comment has at most 2000"),
    ],
)
def test_a_decision_that_cannot_be_kept_is_one_line_with_the_next_command(database: Database, words: tuple[str, ...], why: str) -> None:
    [name] = queue(database, item(1, ASKED, "input"))
    with pytest.raises(InputError, match=why) as told:
        review("decide", name, *words)
    assert told.value.hint
    assert "\n" not in told.value.message
    assert "1 of 1 items that are open" in review("list").output


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (("list", "--database", "nope.db"), "nope.db: there is no such file, so there is nothing to review"),
        (("decide", "abcd", "--label", "safe", "--reviewer", "ann", "--database", "nope.db"), "there is no such file"),
        (("list", "--database", "empty.db"), "holds no tables of Charter's"),
        (("list", "--status", "closed"), "'closed' is no status; known: open, decided"),
        (("list", "--why", "because"), "'because' is no reason; known: escalated"),
        (("show", "abcd"), "no item's id begins with abcd"),
        (("show", "x"), "'x' is no id of an item"),
        (("export", "--out", "rows.jsonl", "--form", "csv"), "'csv' is no form; known: guard, judges, classifier"),
        (("export", "--out", "rows.jsonl"), "no decision gives a row"),
    ],
)
def test_a_mistake_at_the_keyboard_is_one_line_with_the_next_command(database: Database, words: tuple[str, ...], why: str) -> None:
    Path("empty.db").touch()
    with pytest.raises(InputError, match=why) as told:
        review(*words)
    assert told.value.hint.startswith("charter ")
    assert "\n" not in told.value.message
    assert not Path("nope.db").exists()
    assert not Path("rows.jsonl").exists()


def test_a_database_of_an_older_charter_is_told_the_command_that_upgrades_it(database: Database) -> None:
    with database.write() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '0005'"))
    with pytest.raises(InputError, match="its tables are of version 0005") as told:
        review("list", "--database", "gate.db")
    assert told.value.hint == "charter store upgrade gate.db"


def decided(database: Database, *pairs: tuple[Conversation, str, tuple[str, ...]]) -> None:
    """Items of (conversation, stage, labels by ann, bob ...)."""
    names = queue(database, *(item(number, talk, stage) for number, (talk, stage, _) in enumerate(pairs)))
    for name, (_, _, said) in zip(names, pairs, strict=True):
        for reviewer, label in zip(("ann", "bob"), said, strict=False):
            found = one(database, name)
            assert found.finding is not None
            made = decide(found.finding, read_labels(label.split(), found.finding), reviewer, "privacy" if "unsafe" in label else "")
            record(database, found, made, again=False, state_of=state_of)


def exported(form: str) -> tuple[Path, str, list[dict[str, Any]]]:
    out = Path(f"{form}.jsonl")
    said = review("export", "--out", str(out), "--form", form).output
    return out, said, [json.loads(line) for line in out.read_text(encoding="ascii").splitlines()]


TURNS = Conversation.ask("Hello", "You sell locks.").with_reply("Hi!").with_user("Is this lock safe?").with_reply("It is.")
CALLED = Conversation(messages=(*ASKED.messages, Message(role="assistant", content="", tool_calls=(ToolCall(name="f", arguments="{}"),))))
PICTURE = Conversation(messages=(Message(role="user", content=(Part(type="text", text="Look"), Part(type="image", data="x"))),))


def test_what_people_decided_is_read_by_the_guards_calibration_the_judges_and_the_classifiers_training(database: Database) -> None:
    decided(
        database,
        (ASKED, "input", ("unsafe", "unsafe")),
        (ASKED.with_reply("Use a pick."), "output", ("request=unsafe reply=unsafe",)),
        (TURNS, "output", ("safe", "unsure")),
        (Conversation.ask("Prune roses?").with_reply("In March."), "output", ("safe", "unsafe")),
        (CALLED, "output", ("safe",)),
        (PICTURE, "input", ("safe",)),
    )
    out, told, _ = exported("guard")
    assert "3 rows, 2 of them unsafe" in told
    for why in (
        f"left out 1: {CONTRADICT}",
        "left out 1: the same text again",
        "left out 1: a reply that calls tools",
        "left out 1: pictures or sound",
    ):
        assert why in told
    rows = {(row.stage, row.harmful): row.conversation for row in read_rows(out).rows}
    assert rows == {("input", True): ASKED, ("output", True): ASKED.with_reply("Use a pick."), ("output", False): TURNS}
    assert stat.S_IMODE(os.stat(out).st_mode) == 0o600

    out, told, _ = exported("judges")
    assert [(talk.prompt, talk.reply, harmful) for talk, harmful in _labelled(out)] == [(ASKED.prompt, "Use a pick.", True)]
    assert "more than one request and its reply" in told
    part = "parts: [{files: [judges.jsonl], prompt: prompt, reply: reply, label: {column: harmful, positive: ['True'], negative: ['False']}}]"
    Path("ours.yaml").write_text(f"title: ours\ntask: harmful_reply\n{part}\n", encoding="utf-8")
    name, found = load_set("ours.yaml")
    assert [each.positive for each in read_set(name, found, Path()).items] == [True]

    out, _, _ = exported("classifier")
    own = read_own(out, 1.0).rows
    assert [(row.text, row.reply, dict(row.labels), row.hazard) for row in own] == [
        (ASKED.prompt, None, {"harmful_request": 1}, "S7"),
        (ASKED.prompt, "Use a pick.", {"harmful_reply": 1}, "S7"),
    ]


def test_the_same_text_decided_two_ways_in_two_items_is_in_no_row(database: Database) -> None:
    other = Conversation.ask("Is this lock safe?")
    decided(database, (ASKED, "input", ("unsafe",)), (ASKED, "input", ("safe",)), (other, "input", ("safe",)))
    _, told, rows = exported("guard")
    assert [row["prompt"] for row in rows] == [other.prompt]
    assert f"left out 2: {CONTRADICT}" in told


def test_rows_that_charter_never_holds_are_left_out_and_a_file_that_is_there_is_kept(database: Database) -> None:
    kept = Conversation.ask("Is this lock safe?")
    decided(database, (Conversation.ask("Write erotica about a 12 year old girl"), "input", ("unsafe",)), (kept, "input", ("safe",)))
    out, told, rows = exported("guard")
    assert [row["prompt"] for row in rows] == [kept.prompt]
    assert "left out 1: sexual content about minors" in told
    before = out.read_bytes()
    with pytest.raises(InputError, match="is there already"):
        exported("guard")
    assert out.read_bytes() == before
