"""Escalated, flagged and sampled checks become rows that people read. Written beside the requests, by a thread: a full or lost database delays no
answer. What a kill takes from the queue is still named in the audit log (``review`` and ``subject`` of its rows), without its text."""

from __future__ import annotations

import logging
import queue
import threading
import time
from collections.abc import Callable

from charter.core.errors import StoreError
from charter.core.rows import Finding, Source, Verdict
from charter.guard.decision import Checked
from charter.guard.gateway.config import ReviewConfig
from charter.guard.gateway.record import Exchange
from charter.store.database import Database
from charter.store.review import add_items, purge
from charter.store.review_rows import Answer, Item

log = logging.getLogger("charter.gateway")
_LIMIT = 2000
_BATCH = 100
_PURGE_S = 3600.0
_PAUSE_S = 0.5
#: How long rows that wait when the gateway ends are still tried.
_CLOSE_S = 3.0


class ReviewSink:
    """See ``record.Sink``. ``dropped`` counts what found no place in the queue, or none in the database by the end; ``lost`` hears of it."""

    def __init__(self, database: Database, config: ReviewConfig, lost: Callable[[int], None] | None = None) -> None:
        self._database, self._config, self._lost = database, config, lost
        self._waiting: queue.Queue[Item | Answer | None] = queue.Queue(_LIMIT)
        self.dropped = 0
        self._closing = threading.Event()
        self._purged_s = float("-inf")
        self._thread = threading.Thread(target=self._work, name="charter-review", daemon=True)
        self._thread.start()

    def done(self, exchange: Exchange) -> None:
        for checked in (*exchange.inputs, *exchange.outputs):
            if checked.review:
                self._put(item_of(exchange, checked))
        if self._config.keep_answers_hours and exchange.status == 200:
            talks = {choice: checked.conversation for choice, checked in exchange.replies.items()}
            if talks:
                named = (exchange.request_id, exchange.decision_id, exchange.policy, exchange.model)
                self._put(Answer(*named, talks, exchange.key, exchange.response_id))

    def close(self) -> None:
        """Write what waits; a database that is lost or silent then is waited for no longer."""
        self._closing.set()
        self._thread.join(_CLOSE_S)
        if self._thread.is_alive():
            log.error("rows for review are given up: the database does not answer")

    def _put(self, row: Item | Answer) -> None:
        try:
            self._waiting.put_nowait(row)
        except queue.Full:
            self._drop(1)

    def _drop(self, rows: int) -> None:
        self.dropped += rows
        if self._lost is not None:
            self._lost(rows)
        log.error("%d rows for review were dropped: the database does not take them", rows)

    def _work(self) -> None:
        while not (self._closing.is_set() and self._waiting.empty()):
            self._purge()
            batch: list[Item | Answer | None] = []
            try:
                batch.append(self._waiting.get(timeout=0.2))
                while len(batch) < _BATCH:
                    batch.append(self._waiting.get_nowait())
            except queue.Empty:
                pass
            if batch:
                self._write([row for row in batch if isinstance(row, Item)], [row for row in batch if isinstance(row, Answer)])

    def _write(self, items: list[Item], answers: list[Answer]) -> None:
        while True:
            try:
                add_items(self._database, items, answers, self._config.keep_days * 86_400, self._config.keep_answers_hours * 3600)
                return
            except Exception as error:
                log.error("rows for review cannot be written: %s", error.message if isinstance(error, StoreError) else type(error).__name__)
                if not isinstance(error, StoreError) or self._closing.wait(_PAUSE_S):
                    self._drop(len(items) + len(answers))
                    return

    def _purge(self) -> None:
        if time.monotonic() - self._purged_s >= _PURGE_S:
            self._purged_s = time.monotonic()
            try:
                purge(self._database)
            except StoreError as error:
                log.error("texts whose time is over cannot be taken out: %s", error.message)


def item_of(exchange: Exchange, checked: Checked) -> Item:
    """A check as a row for people. A check that no rail gave a verdict on says so: that is a failure, and no score."""
    try:
        finding = checked.finding(exchange.model or exchange.endpoint, exchange.request_id)
    except ValueError:
        judge = next(iter(checked.by), "guard")
        finding = Finding(
            attack="production",
            family="guard",
            target=exchange.model or exchange.endpoint,
            goal=checked.stage,
            conversation=checked.conversation,
            verdict=Verdict(subject=checked.decision.subject, outcome="failed", reason=checked.reason, judge=judge, judge_version=""),
            source=Source(dataset="guard", revision=checked.policy, row=checked.decision.subject, run=exchange.request_id),
        )
    named = (exchange.request_id, exchange.decision_id, checked.review, checked.stage, checked.policy)
    return Item(*named, finding, exchange.key, exchange.response_id, exchange.choice_of(checked))
