"""Rows for people on both databases: queued once, reported once, looked up here, out of the database when their time is over."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy import select, text

from charter.core.errors import InputError
from charter.core.rows import Conversation, Finding, Source, Verdict
from charter.store.database import Database
from charter.store.reports import Report, file_report
from charter.store.review import add_items, purge
from charter.store.review_rows import Answer, Item, item_row
from charter.store.tables import kept_text, report, review_item

DAY_S = 86_400.0
Opener = Callable[[], Database]
TALK = Conversation.ask("What is the tallest tree?").with_reply("A redwood \ud83c stood there\0.")


def item(number: int, why: str = "escalated", stage: str = "input", choice: int | None = None) -> Item:
    verdict = Verdict(subject="s", outcome="unsafe", score=0.9, judge="harm", judge_version="1")
    source = Source(dataset="guard", revision="p@1", row=f"subject-{number}")
    finding = Finding(attack="production", family="guard", target="m", goal=stage, conversation=TALK, verdict=verdict, source=source)
    return Item(f"r{number}", f"d{number}", why, stage, "p@1", finding, choice_index=choice)


def said(answer: str, reporter: str = "one", kind: str = "report", **more: object) -> Report:
    given = {"choice_index": 0, "category": "hate", "comment": "", "key_name": "web", **more}
    return Report(kind=kind, answer=answer, reporter=reporter, **given)  # type: ignore[arg-type]


def items(database: Database) -> list[dict[str, object]]:
    with database.read() as connection:
        return [dict(row) for row in connection.execute(select(review_item).order_by(review_item.c.priority.desc())).mappings()]


def test_items_come_back_as_the_rows_they_were_and_once(open_database: Opener) -> None:
    database = open_database()
    assert add_items(database, [item(1), item(1), item(2, "sampled"), item(1, stage="output")], [], DAY_S, 0) == 3
    assert add_items(database, [item(1)], [], DAY_S, 0) == 0
    found = items(database)
    assert [row["why"] for row in found] == ["escalated", "escalated", "sampled"]
    assert Finding.model_validate_json(str(found[0]["finding"])).conversation.reply == "A redwood ? stood there\0."
    assert {(row["state"], row["lease_until_unix_s"], row["holder"]) for row in found} == {("pending", None, None)}


def test_choices_that_say_the_same_are_an_item_each_and_a_report_brings_its_own_forward(open_database: Opener) -> None:
    database = open_database()
    both = [item(1, "flagged", "output", 0), item(1, "flagged", "output", 1)]
    assert add_items(database, [*both, both[1]], [Answer("r1", "d1", "p@1", "m", {0: TALK, 1: TALK})], DAY_S, DAY_S) == 2
    for reporter, choice in (("one", 1), ("two", 1), ("three", 0)):
        assert file_report(database, said("r1", reporter, choice_index=choice), keep_s=DAY_S).verified
    assert [(row["choice_index"], row["priority"]) for row in items(database)] == [(1, 51), (0, 50)]


def test_a_report_finds_its_answer_by_either_id_and_becomes_an_item(open_database: Opener) -> None:
    database = open_database()
    add_items(database, [], [Answer("r1", "d1", "p@1", "m" * 300, {0: TALK, 1: TALK.with_user("x").with_reply("second")})], DAY_S, DAY_S)
    assert file_report(database, said("r1"), keep_s=DAY_S).verified
    assert file_report(database, said("d1", choice_index=1), keep_s=DAY_S).verified
    assert not file_report(database, said("r1", choice_index=2), keep_s=DAY_S).verified
    assert not file_report(database, said("unknown"), keep_s=DAY_S).verified
    found = [Finding.model_validate_json(str(row["finding"])) for row in items(database)]
    assert sorted(finding.conversation.reply or "" for finding in found) == ["A redwood ? stood there\0.", "second"]
    assert {(finding.hazard, finding.verdict.outcome, finding.verdict.score) for finding in found} == {("hate", "unsure", None)}


def test_a_report_brings_forward_the_choice_that_it_names_and_no_other(open_database: Opener) -> None:
    database = open_database()
    other = TALK.with_user("x").with_reply("second")
    kept = Answer("r1", "d1", "p@1", "m", {0: TALK, 1: other})
    add_items(database, [item(1, "flagged", "output")], [kept], DAY_S, DAY_S)  # choice 0 waits already
    for reporter, choice in (("one", 1), ("two", 1), ("three", 0)):
        assert file_report(database, said("r1", reporter, choice_index=choice), keep_s=DAY_S).verified
    found = {Finding.model_validate_json(str(row["finding"])).conversation.reply: (row["why"], row["priority"]) for row in items(database)}
    assert found == {"second": ("report", 51), "A redwood ? stood there\0.": ("flagged", 50)}


@pytest.mark.parametrize(
    ("queued", "verified"),
    [
        (item(1, "flagged", "output", 1), True),
        (item(1, "escalated", "output", 1), True),
        (item(1, "flagged", "output", 0), False),
        (item(1, "escalated", "input"), False),
        (item(1, "flagged", "output"), False),  # of a gateway that did not tell the choice yet
    ],
)
@pytest.mark.parametrize("first", ["text", "report"])
def test_where_no_answers_are_kept_only_an_item_of_the_reported_choice_is_it(open_database: Opener, queued: Item, verified: bool, first: str) -> None:
    database = open_database()
    if first == "text":
        add_items(database, [queued], [], DAY_S, 0)
    filed = file_report(database, said("r1", choice_index=1), keep_s=DAY_S)
    if first == "report":
        add_items(database, [queued], [], DAY_S, 0)
        filed = file_report(database, said("r1", choice_index=1), keep_s=DAY_S)
    assert filed.verified == verified
    [found] = items(database)
    assert (found["priority"] != item_row(queued, 0.0, 0.0)["priority"]) == verified, "only what was reported comes forward"


def test_a_choice_that_was_withheld_is_not_another_one_that_was_kept(open_database: Opener) -> None:
    database = open_database()
    add_items(database, [item(1, "escalated", "output", 2)], [Answer("r1", "d1", "p@1", "m", {0: TALK})], DAY_S, DAY_S)
    assert not file_report(database, said("r1", choice_index=1), keep_s=DAY_S).verified
    assert file_report(database, said("r1", choice_index=2), keep_s=DAY_S).verified


def test_one_report_for_each_answer_and_reporter_and_priority_by_reporters(open_database: Opener) -> None:
    database = open_database()
    add_items(database, [], [Answer("r1", "d1", "p@1", "m", {0: TALK})], DAY_S, DAY_S)
    first = file_report(database, said("r1"), keep_s=DAY_S)
    again = file_report(database, said("r1", category="privacy", comment="again"), keep_s=DAY_S)
    assert (again.id, again.duplicate) == (first.id, True)
    for reporter in ("two", "three"):
        assert not file_report(database, said("r1", reporter), keep_s=DAY_S).duplicate
    assert [row["priority"] for row in items(database)] == [52]


@pytest.mark.parametrize(("why", "after"), [("sampled", [50, 51, 52]), ("flagged", [50, 51, 52]), ("escalated", [101, 102, 103])])
def test_an_answer_that_a_rail_saw_too_never_comes_after_one_that_was_only_reported(open_database: Opener, why: str, after: list[int]) -> None:
    database = open_database()
    add_items(database, [item(1, why, "output", 0)], [Answer("r2", "d2", "p@1", "m", {0: TALK})], DAY_S, DAY_S)
    for reporter, wanted in zip(("one", "two", "three"), after, strict=True):
        assert file_report(database, said("r1", reporter), keep_s=DAY_S).verified
        file_report(database, said("r2", reporter), keep_s=DAY_S)
        found = {row["request_id"]: row["priority"] for row in items(database)}
        assert found["r1"] == wanted
        assert found["r1"] >= found["r2"]


def test_reports_at_the_same_moment_are_one(open_database: Opener) -> None:
    database = open_database()
    filed = []
    threads = [threading.Thread(target=lambda: filed.append(file_report(database, said("r1"), keep_s=DAY_S))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(filed) == 8
    assert len({each.id for each in filed}) == 1
    with database.read() as connection:
        assert len(connection.execute(select(report.c.id)).all()) == 1


def test_an_idempotency_key_stands_for_one_report(open_database: Opener) -> None:
    database = open_database()
    first = file_report(database, said("r1"), keep_s=DAY_S, idempotency="key-1")
    assert file_report(database, said("r1"), keep_s=DAY_S, idempotency="key-1") == first._replace(duplicate=True)
    with pytest.raises(InputError, match="idempotency"):
        file_report(database, said("r2"), keep_s=DAY_S, idempotency="key-1")
    assert file_report(database, said("r2", key_name="other", reporter="x"), keep_s=DAY_S, idempotency="key-1").id != first.id


def test_an_idempotency_key_still_stands_for_its_report_when_the_comment_is_taken_out(open_database: Opener) -> None:
    database = open_database()
    first = file_report(database, said("r1", comment="they said"), keep_s=DAY_S, idempotency="key-1")
    with pytest.raises(InputError, match="idempotency"):
        file_report(database, said("r1", comment="they said more"), keep_s=DAY_S, idempotency="key-1")
    assert purge(database, time.time() + 2 * DAY_S).comments == 1
    assert file_report(database, said("r1", comment="they said"), keep_s=DAY_S, idempotency="key-1") == first._replace(duplicate=True)
    with pytest.raises(InputError, match="idempotency"):
        file_report(database, said("r2", comment="they said"), keep_s=DAY_S, idempotency="key-1")


def test_feedback_is_kept_and_queues_nothing(open_database: Opener) -> None:
    database = open_database()
    add_items(database, [], [Answer("r1", "d1", "p@1", "m", {0: TALK})], DAY_S, DAY_S)
    assert file_report(database, said("r1", kind="feedback", category="down"), keep_s=DAY_S).verified
    assert not file_report(database, said("r1"), keep_s=DAY_S).duplicate
    assert len(items(database)) == 1


def test_texts_go_when_their_time_is_over_and_rows_stay(open_database: Opener) -> None:
    database = open_database()
    add_items(database, [item(1), item(2)], [Answer("r1", "d1", "p@1", "m", {0: TALK})], 30 * DAY_S, 2 * DAY_S)
    file_report(database, said("r9", comment="they said"), keep_s=DAY_S)
    now = time.time()
    assert tuple(purge(database, now)) == (0, 0, 0)
    assert tuple(purge(database, now + 3 * DAY_S)) == (0, 1, 1)
    assert tuple(purge(database, now + 31 * DAY_S)) == (2, 0, 0)
    assert tuple(purge(database, now + 32 * DAY_S)) == (0, 0, 0)
    assert [(row["finding"], row["state"]) for row in items(database)] == [(None, "expired")] * 2
    with database.read() as connection:
        assert connection.execute(select(kept_text)).all() == []
        assert connection.execute(select(report.c.comment)).scalars().all() == [""]


def test_what_was_taken_out_is_in_no_file_any_more(tmp_path: Path) -> None:
    database, other = Database(tmp_path / "a.db", busy_s=900.0), Database(tmp_path / "a.db")  # who waited for the reader would wait for so long
    secret = "a text of which nothing may stay " * 500  # over several pages of the file
    talk = Conversation.ask(secret).with_reply(secret)
    queued = [each._replace(finding=each.finding.model_copy(update={"conversation": talk})) for each in map(item, range(20))]
    add_items(database, queued, [Answer(f"r{number}", f"d{number}", "p@1", "m", {0: talk}) for number in range(20)], DAY_S, DAY_S)
    file_report(database, said("r1", comment="nothing may stay"), keep_s=DAY_S)

    def found() -> set[str]:
        return {each.name for each in tmp_path.iterdir() if b"nothing may stay" in each.read_bytes()}

    assert found()
    with other.read() as connection:
        connection.execute(select(report.c.id)).all()  # a reader that needs the log as it is
        assert tuple(purge(database, time.time() + 2 * DAY_S)) == (20, 20, 1)
        assert not database.forget()
    assert tuple(purge(database)) == (0, 0, 0)
    assert found() == set()
    database.close()
    other.close()


def test_a_comment_goes_by_the_rule_of_its_own_day_whatever_else_is_kept(open_database: Opener) -> None:
    database = open_database()
    add_items(database, [item(1)], [], 3650 * DAY_S, 0)  # kept long, by an earlier configuration
    file_report(database, said("r8", comment="short"), keep_s=DAY_S)
    file_report(database, said("r9", comment="long"), keep_s=40 * DAY_S)
    with database.write() as connection:  # as a gateway of an older version files one on these tables
        values = "'old', 'report', 1.0, 'r7', 0, 'one', 'web', 'hate', 'untold', 0, ''"
        columns = "id, kind, created_unix_s, answer, choice_index, reporter, key_name, category, comment, verified, decision_id"
        connection.execute(text(f"INSERT INTO report ({columns}) VALUES ({values})"))
    assert purge(database, 29 * DAY_S).comments == 0
    assert purge(database, 31 * DAY_S).comments == 1
    assert purge(database, time.time() + 2 * DAY_S).comments == 1
    with database.read() as connection:
        assert set(connection.execute(select(report.c.comment)).scalars()) == {"", "long"}


def test_a_report_of_an_answer_whose_item_lost_its_text_brings_the_text_back(open_database: Opener) -> None:
    database = open_database()
    add_items(database, [], [Answer("r1", "d1", "p@1", "m", {0: TALK})], DAY_S, 9 * DAY_S)
    file_report(database, said("r1"), keep_s=DAY_S)
    assert purge(database, time.time() + 2 * DAY_S).items == 1
    with database.write() as connection:
        connection.execute(text("UPDATE review_item SET holder = 'somebody', lease_until_unix_s = 9e12, lease_token = 't'"))
    file_report(database, said("r1", "two", category="privacy"), keep_s=4 * DAY_S)
    [found] = items(database)
    assert (found["state"], found["priority"], found["hazard"]) == ("pending", 51, "privacy")
    assert Finding.model_validate_json(str(found["finding"])).conversation.reply == "A redwood ? stood there\0."
    assert (found["holder"], found["lease_until_unix_s"], found["lease_token"]) == (None, None, None)
    assert purge(database, time.time() + 3 * DAY_S).items == 0
    file_report(database, said("r1", "three", category="violence"), keep_s=9 * DAY_S)
    [again] = items(database)
    assert again == {**found, "priority": 52}, "a text that is there is only brought forward"
    assert purge(database, time.time() + 5 * DAY_S).items == 1


def test_a_report_that_comes_before_its_text_finds_it_when_it_comes(open_database: Opener) -> None:
    database = open_database()
    early = file_report(database, said("r1"), keep_s=DAY_S)
    file_report(database, said("d1", "two"), keep_s=DAY_S)
    file_report(database, said("d1", kind="feedback", category="down"), keep_s=DAY_S)
    twice = file_report(database, said("d1"), keep_s=DAY_S)  # nobody can know yet that it is the same answer
    assert not early.verified
    assert not twice.duplicate
    add_items(database, [], [Answer("r1", "d1", "p@1", "m", {0: TALK}), Answer("r2", "d2", "p@1", "m", {0: TALK})], DAY_S, DAY_S)
    [found] = items(database)
    assert (found["why"], found["priority"], found["decision_id"]) == ("report", 51, "d1")
    with database.read() as connection:
        told = connection.execute(select(report.c.verified, report.c.decision_id)).all()
    assert {tuple(row) for row in told} == {(1, "d1")}
    assert file_report(database, said("r1"), keep_s=DAY_S) == early._replace(duplicate=True, verified=True)


def test_a_report_and_its_text_that_come_at_the_same_moment_find_each_other(open_database: Opener) -> None:
    database, other = open_database(), open_database()
    for number in range(10):
        ready = threading.Barrier(2)

        def keep(number: int = number, ready: threading.Barrier = ready) -> None:
            ready.wait()
            add_items(other, [], [Answer(f"r{number}", f"d{number}", "p@1", "m", {0: TALK})], DAY_S, DAY_S)

        thread = threading.Thread(target=keep)
        thread.start()
        ready.wait()
        file_report(database, said(f"r{number}"), keep_s=DAY_S)
        thread.join()
    with database.read() as connection:
        assert connection.execute(select(report.c.verified)).scalars().all() == [1] * 10
    assert [row["priority"] for row in items(database)] == [50] * 10


def test_an_answers_own_name_holds_within_its_key_and_only_for_one_answer(open_database: Opener) -> None:
    database = open_database()

    def kept(number: int, key: str, name: str, request: str = "") -> Answer:
        return Answer(request or f"r{number}", f"d{number}", "p@1", "m", {0: TALK.with_user(key).with_reply(str(number))}, key, name)

    answers = [kept(1, "web", "chatcmpl-1"), kept(2, "app", "chatcmpl-1"), kept(3, "app", "chatcmpl-3"), kept(4, "web", "chatcmpl-4")]
    answers += [kept(5, "web", "chatcmpl-4"), kept(6, "web", "", "trace"), kept(7, "web", "", "trace"), kept(8, "app", "", "trace")]
    answers += [kept(9, "app", "", "chatcmpl-1")]  # a client that calls its request what another's answer is called
    add_items(database, [], answers, DAY_S, DAY_S)

    def reply(name: str, key: str) -> str | None:
        filed = file_report(database, said(name, f"{name} {key}", key_name=key), keep_s=DAY_S)
        with database.read() as connection:
            decision = connection.execute(select(report.c.decision_id).where(report.c.id == filed.id)).scalar_one()
        assert filed.verified == bool(decision)
        return str(decision)

    assert reply("chatcmpl-1", "web") == "d1"
    assert reply("chatcmpl-3", "app") == "d3"
    assert reply("chatcmpl-3", "web") == "", "another key's answer"
    assert reply("chatcmpl-4", "web") == "", "two answers"
    assert reply("chatcmpl-1", "app") == "", "an answer and a request of one key"
    assert reply("trace", "web") == "", "two answers to requests of one name"
    assert reply("trace", "app") == "d8", "its own one goes before those of others"
    assert reply("r3", "front") == "d3", "a key that only reports"
    assert file_report(database, said("d1", "chatcmpl-1 web"), keep_s=DAY_S).duplicate, "by whatever name, it is one report"
    said_of = {str(row["decision_id"]): str(row["finding"]) for row in items(database)}
    assert '"3"' in said_of["d3"]


def test_answers_that_were_kept_before_version_3_are_still_found(fresh: str) -> None:
    from alembic import command

    from charter.store import database as room

    engine, config = room._engine(room._url(fresh), 5.0), room._alembic()
    talk = Conversation.ask("q").with_reply("as it was").model_dump_json(exclude_defaults=True)
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "0002")
        connection.execute(text("INSERT INTO kept_text VALUES ('r1', 'd1', 1.0, 9e12, 'p@1', 'm', :talks)"), {"talks": f"[{talk}]"})
    engine.dispose()
    database = Database(fresh)
    assert file_report(database, said("r1"), keep_s=DAY_S).verified
    assert file_report(database, said("d1"), keep_s=DAY_S).duplicate
    assert "as it was" in str(items(database)[0]["finding"])
    database.close()


@pytest.mark.parametrize(("kept_s", "stays_s"), [(None, 30 * DAY_S), (90 * DAY_S, 90 * DAY_S)])
def test_comments_of_before_version_4_keep_the_rule_they_had(fresh: str, kept_s: float | None, stays_s: float) -> None:
    from alembic import command

    from charter.store import database as room

    engine, config = room._engine(room._url(fresh), 5.0), room._alembic()
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "0003")
        connection.execute(text("INSERT INTO report VALUES ('i', 'report', 5.0, 'r1', 0, 'one', 'web', 'hate', 'they said', 0, '')"))
        if kept_s is not None:
            columns = "id, created_unix_s, keep_until_unix_s, request_id, decision_id, why, stage, policy, hazard, priority, state"
            values = f"'i', 7.0, {7.0 + kept_s}, 'r', 'd', 'flagged', 'input', 'p', '', 0, 'expired'"
            connection.execute(text(f"INSERT INTO review_item ({columns}) VALUES ({values})"))
    engine.dispose()
    database = Database(fresh)
    assert purge(database, stays_s + 4.0).comments == 0
    assert purge(database, stays_s + 6.0).comments == 1
    database.close()
