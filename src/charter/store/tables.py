"""The SQL tables: what changes, or what several processes write. The same on SQLite and PostgreSQL.

A change here needs a migration in ``migrations/versions``; a test compares the two.
"""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Float, Index, Integer, MetaData, String, Table, Text, UniqueConstraint

metadata = MetaData()

#: Append-only and chained: ``hash`` covers the hash before it, ``seq`` and ``body``. ``body`` is JSON, never text of a conversation.
audit = Table(
    "audit",
    metadata,
    Column("seq", BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=False),
    Column("request_id", String(64), nullable=False, index=True),
    Column("body", Text, nullable=False),
    Column("hash", String(64), nullable=False),
)

#: Keys of the gateway's clients. The key itself is nowhere; ``digest`` is its keyed hash, ``prefix`` what people may see.
api_key = Table(
    "api_key",
    metadata,
    Column("name", String(64), primary_key=True),
    Column("prefix", String(16), nullable=False),
    Column("digest", String(64), nullable=False, unique=True),
    Column("guard", String(64), nullable=False),
    Column("scopes", String(256), nullable=False),
    Column("requests_per_minute", Integer),
    Column("concurrency", Integer),
    Column("created_unix_s", Float, nullable=False),
    Column("revoked_unix_s", Float),
)

#: What people should look at. ``state``: pending, decided, disputed (reviewers contradict each other), or expired (nobody decided in time).
#: ``finding`` is a Finding row as JSON, text included: it is deleted when ``keep_until_unix_s`` has passed.
#: ``key_name``: whose request it was. ``response_id``: the answer's own id, as its body has it. ``choice_index``: which choice of it; none for a
#: request, and for an item that a gateway of before version 0005 queued.
#: ``lease_until_unix_s``, ``holder`` and ``lease_token`` are for the review queue: a lease that has run out is free.
review_item = Table(
    "review_item",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("created_unix_s", Float, nullable=False),
    Column("keep_until_unix_s", Float, nullable=False, index=True),
    Column("request_id", String(64), nullable=False, index=True),
    Column("decision_id", String(64), nullable=False, index=True),
    Column("key_name", String(64), nullable=False, server_default=""),
    Column("response_id", String(64), nullable=False, server_default="", index=True),
    Column("why", String(32), nullable=False),
    Column("stage", String(16), nullable=False),
    Column("policy", String(128), nullable=False),
    Column("hazard", String(64), nullable=False),
    Column("priority", Integer, nullable=False),
    Column("state", String(16), nullable=False),
    Column("finding", Text),
    Column("lease_until_unix_s", Float),
    Column("holder", String(64)),
    Column("lease_token", String(64)),
    Column("choice_index", Integer),
    Index("ix_review_item_queue", "state", "priority", "created_unix_s"),
)

#: What people decided about items: one row for each item and reviewer. ``decision`` is a Decision row as JSON, without text. ``comment`` is taken
#: out with the text of the item: it may quote it.
review_decision = Table(
    "review_decision",
    metadata,
    Column("item_id", String(32), primary_key=True),
    Column("reviewer", String(64), primary_key=True),
    Column("made_unix_s", Float, nullable=False),
    Column("decision", Text, nullable=False),
    Column("comment", Text, nullable=False),
)

#: Texts of answers that went out, kept for a while so that a report about one can be looked into. Only where the operator asks for it.
kept_text = Table(
    "kept_text",
    metadata,
    Column("decision_id", String(64), primary_key=True),
    Column("request_id", String(64), nullable=False, index=True),
    Column("key_name", String(64), nullable=False, server_default=""),
    Column("response_id", String(64), nullable=False, server_default="", index=True),
    Column("created_unix_s", Float, nullable=False),
    Column("keep_until_unix_s", Float, nullable=False, index=True),
    Column("policy", String(128), nullable=False),
    Column("model", String(128), nullable=False),
    Column("conversation", Text, nullable=False),
)

#: What users said about answers. One report for each answer and reporter. ``decision_id``: of the answer, once it is found; until then ''.
#: ``keep_until_unix_s``: when the comment is taken out, by the rule that held when it was filed.
report = Table(
    "report",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("kind", String(16), nullable=False),
    Column("created_unix_s", Float, nullable=False),
    Column("answer", String(64), nullable=False, index=True),
    Column("choice_index", Integer, nullable=False),
    Column("reporter", String(64), nullable=False),
    Column("key_name", String(64), nullable=False),
    Column("category", String(64), nullable=False),
    Column("comment", Text, nullable=False),
    Column("verified", Integer, nullable=False),
    Column("decision_id", String(64), nullable=False, server_default="", index=True),
    Column("keep_until_unix_s", Float),
    UniqueConstraint("kind", "answer", "choice_index", "reporter", name="uq_report_once"),
)
