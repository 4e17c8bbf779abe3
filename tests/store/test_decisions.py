"""What people decide about items, on both databases: beside one another, one at a time, and without the text when its time is over."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy import select
from typer.testing import CliRunner

from charter.cli import app
from charter.core.errors import InputError, StoreError
from charter.core.rows import Conversation, Finding, Source, Verdict
from charter.review.labels import decide, state_of
from charter.store.audit import AuditLog, Row, append_within
from charter.store.audit_verify import verify
from charter.store.database import Database
from charter.store.decisions import Filed, listed, one, record, unplaced
from charter.store.reports import Report, file_report
from charter.store.review import add_items, purge
from charter.store.review_rows import Answer, Item
from charter.store.tables import review_decision

DAY_S = 86_400.0
Opener = Callable[[], Database]
TALK = Conversation.ask("What is the tallest tree?").with_reply("A redwood.")


def item(number: int, why: str = "escalated", hazard: str = "violence") -> Item:
    verdict = Verdict(subject="s", outcome="unsafe", score=0.9, hazards=(hazard,), judge="harm", judge_version="1")
    source = Source(dataset="guard", revision="p@1", row=f"subject-{number}")
    named = {"attack": "production", "family": "guard", "target": "m", "goal": "output", "hazard": hazard}
    finding = Finding(**named, conversation=TALK, verdict=verdict, source=source)
    return Item(f"r{number}", f"d{number}", why, "output", "p@1", finding, choice_index=0)


def said(database: Database, found: Filed, reviewer: str, label: str, again: bool = False, comment: str = "") -> Filed:
    assert found.finding is not None
    made = decide(found.finding, {"reply": label}, reviewer, comment=comment)  # type: ignore[dict-item]
    return record(database, found, made, again=again, state_of=state_of)


def test_the_highest_priority_comes_first_and_of_equals_the_oldest(open_database: Opener) -> None:
    database = open_database()
    for number, why, hazard in ((1, "sampled", "privacy"), (2, "escalated", "hate"), (3, "escalated", "privacy"), (4, "flagged", "hate")):
        add_items(database, [item(number, why, hazard)], [], DAY_S, 0)

    def order(**filters: object) -> list[str]:
        return [found.row["request_id"] for found in listed(database, **filters)[0]]  # type: ignore[arg-type]

    assert order() == ["r2", "r3", "r4", "r1"]
    assert listed(database, limit=2)[1] == 4, "how many there are, shown or not"
    assert order(limit=2) == ["r2", "r3"]
    assert order(why="escalated", hazard="privacy") == ["r3"]
    assert order(status="decided") == []


def test_a_decision_closes_an_item_one_of_another_stands_beside_it_and_a_contradiction_shows(open_database: Opener) -> None:
    database = open_database()
    add_items(database, [item(1)], [], DAY_S, 0)
    [found] = listed(database)[0]
    assert said(database, found, "zoe", "unsure").status == "open", "what one cannot say is another's to decide"
    assert said(database, found, "ann", "unsafe").status == "decided"
    assert listed(database)[1] == 0
    after = said(database, found, "bob", "safe")
    assert (after.status, [each.reviewer for each in after.made]) == ("disputed", ["zoe", "ann", "bob"])
    with pytest.raises(InputError, match="bob has decided about it already"):
        said(database, found, "bob", "unsafe")
    assert [each.decision.action for each in one(database, found.id[:8]).made] == ["escalate", "block", "allow"], "nothing was replaced"
    assert said(database, found, "bob", "unsafe", again=True).status == "decided"
    assert [each.decision.action for each in one(database, found.id).made if each.reviewer == "bob"] == ["block"]


def test_reviewers_at_the_same_moment_are_all_kept_and_one_of_them_only_once(open_database: Opener) -> None:
    database, other = open_database(), open_database()
    add_items(database, [item(1)], [], DAY_S, 0)
    [found] = listed(database)[0]
    names = ["ann", "bob", "ann", "cid", "ann", "dot"]
    ready, refused = threading.Barrier(len(names)), []

    def work(number: int, name: str) -> None:
        ready.wait()
        try:
            said((database, other)[number % 2], found, name, "safe" if number % 2 else "unsafe")
        except InputError as error:
            refused.append(error.message)

    threads = [threading.Thread(target=work, args=each) for each in enumerate(names)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    after = one(database, found.id)
    assert sorted(each.reviewer for each in after.made) == ["ann", "bob", "cid", "dot"]
    assert len(refused) == 2
    assert after.status == "disputed"


def test_a_text_whose_time_is_over_is_shown_to_nobody_and_decided_by_nobody_and_comments_go_with_it(open_database: Opener) -> None:
    database = open_database()
    add_items(database, [item(1), item(2)], [], DAY_S, 0)
    first, second = listed(database)[0]
    said(database, first, "ann", "unsafe", comment="it says: a redwood")
    later = time.time() + 2 * DAY_S
    for purged in (False, True):
        if purged:
            assert tuple(purge(database, later)) == (2, 0, 1)
        decided, expired = one(database, first.id, later), one(database, second.id, later)
        assert (decided.status, decided.finding, decided.made[0].comment) == ("decided", None, "")
        assert (expired.status, expired.finding) == ("expired", None)
        assert listed(database, now=later)[1] == 0
        assert [found.id for found in listed(database, "expired", now=later)[0]] == [second.id]
    with pytest.raises(InputError, match="its text is gone"):
        said(database, second, "ann", "safe")
    with database.read() as connection:
        assert connection.execute(select(review_decision.c.comment)).scalars().all() == [""]


def test_what_users_said_is_read_with_the_choice_that_they_said_it_of(open_database: Opener) -> None:
    database = open_database()
    add_items(database, [item(1)], [Answer("r1", "d1", "p@1", "m", {0: TALK, 1: TALK.with_user("x").with_reply("y")})], DAY_S, DAY_S)

    def report(kind: str, choice: int, category: str, comment: str, answer: str = "r1") -> None:
        given = Report(kind, answer, choice, category, comment, f"{kind}{choice}", "web")  # type: ignore[arg-type]
        file_report(database, given, keep_s=DAY_S)

    report("report", 0, "hate", "bad words")
    report("feedback", 0, "down", "no")
    report("report", 1, "privacy", "another choice")
    report("report", 0, "other", "an answer that nobody has", "r9")
    mine, other = listed(database)[0]
    assert [(each.kind, each.category, each.comment) for each in mine.said] == [("report", "hate", "bad words"), ("feedback", "down", "no")]
    assert [each.comment for each in other.said] == ["another choice"]
    assert [each.comment for each in one(database, mine.id, time.time() + 2 * DAY_S).said] == ["", ""]
    assert unplaced(database) == 1


@pytest.mark.parametrize(
    ("beginning", "why"), [("", "no id of an item"), ("abc", "no id of an item"), ("%%%%", "no id of an item"), ("0000", "no item's id")]
)
def test_an_id_that_names_nothing_is_told(open_database: Opener, beginning: str, why: str) -> None:
    with pytest.raises(InputError, match=why):
        one(open_database(), beginning)


def test_a_person_lists_shows_decides_and_exports_by_the_databases_name(open_database: Opener, fresh: str, tmp_path: Path) -> None:
    database = open_database()
    add_items(database, [item(1)], [], DAY_S, 0)
    name, out = listed(database)[0][0].id, tmp_path / "rows.jsonl"
    for words, shown in (
        (("list",), "output: escalated by harm; violence"),
        (("show", name[:8]), "  | A redwood."),
        (("decide", name[:8], "--label", "safe", "--reviewer", "ann"), "reply=safe, by ann; the item is decided"),
        (("list", "--status", "decided"), "ann: reply=safe"),
        (("export", "--out", str(out)), "1 rows, 0 of them unsafe"),
    ):
        done = CliRunner().invoke(app, ["review", *words, "--database", fresh])
        assert done.exit_code == 0, done.exception
        assert shown in done.output
    assert json.loads(out.read_text(encoding="ascii"))["reply"] == "A redwood."
    assert verify(database).broken is None


def test_a_row_of_another_key_never_gets_into_the_log_and_takes_the_decision_with_it(open_database: Opener) -> None:
    database = open_database()
    log = AuditLog(database, key=b"the gateway's")
    log.append(Row("r1", {"kind": "end"})).result(30)
    log.close()
    add_items(database, [item(1)], [], DAY_S, 0)
    [found] = listed(database)[0]
    assert found.finding is not None
    made = decide(found.finding, {"reply": "unsafe"}, "ann")

    def told(key: bytes | None) -> None:
        also = Row("", {"kind": "admin"})
        record(database, found, made, again=False, state_of=state_of, also=lambda connection: append_within(database, connection, also, key))

    for key in (None, b"another"):
        with pytest.raises(StoreError, match="made with another key") as caught:
            told(key)
        assert "CHARTER_AUDIT_KEY" in caught.value.hint
    assert listed(database)[0][0].made == ()
    told(b"the gateway's")
    assert verify(database, key=b"the gateway's").rows == 2


def test_a_decision_stands_when_the_answer_is_reported_later(open_database: Opener) -> None:
    database = open_database()
    add_items(database, [], [Answer("r1", "d1", "p@1", "m", {0: TALK})], DAY_S, 9 * DAY_S)
    report = Report("report", "r1", 0, "hate", "", "one", "web")
    file_report(database, report, keep_s=DAY_S)
    [found] = listed(database)[0]
    said(database, found, "ann", "safe")
    assert purge(database, time.time() + 2 * DAY_S).items == 1
    file_report(database, report._replace(reporter="two"), keep_s=DAY_S)
    [after] = listed(database, "all")[0]
    assert (after.status, [made.reviewer for made in after.made], after.finding is not None) == ("decided", ["ann"], True)


def test_a_report_of_an_item_whose_time_is_over_but_that_nobody_purged_brings_it_back(open_database: Opener) -> None:
    database = open_database()
    add_items(database, [], [Answer("r1", "d1", "p@1", "m", {0: TALK})], DAY_S, 9 * DAY_S)
    report = Report("report", "r1", 0, "hate", "", "one", "web")
    file_report(database, report, keep_s=-1.0)
    assert listed(database)[1] == 0
    assert file_report(database, report._replace(reporter="two"), keep_s=DAY_S).verified
    assert listed(database)[1] == 1
