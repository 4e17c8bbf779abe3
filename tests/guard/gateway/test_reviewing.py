"""Rows for people that the database does not take are counted, by the sink and for Prometheus."""

from __future__ import annotations

import time
from pathlib import Path

from prometheus_client import generate_latest

from charter.core.rows import Conversation
from charter.guard.gateway import reviewing
from charter.guard.gateway.config import ReviewConfig
from charter.guard.gateway.metrics import Metrics
from charter.store.database import Database
from charter.store.review_rows import Answer


def test_rows_that_the_database_never_takes_are_counted_at_the_end(tmp_path: Path) -> None:
    database, metrics = Database(tmp_path / "a.db", busy_s=0.01), Metrics()
    assert "charter_review_rows_dropped_total 0.0" in generate_latest(metrics.registry).decode()
    sink = reviewing.ReviewSink(database, ReviewConfig(), metrics.review_dropped)
    patient = Database(tmp_path / "a.db")  # the sink may just be taking out old texts
    with patient.write():  # nobody else may write meanwhile
        for number in range(3):
            sink._put(Answer(f"r{number}", f"d{number}", "p@1", "m", {0: Conversation.ask("q").with_reply("a")}))
        time.sleep(0.3)
        sink.close()
    assert sink.dropped == 3
    assert "charter_review_rows_dropped_total 3.0" in generate_latest(metrics.registry).decode()
    patient.close()
    database.close()
