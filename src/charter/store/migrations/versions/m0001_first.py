"""The first tables; the audit log refuses changes and deletions."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

_REFUSED = "the audit log is append-only"


def upgrade() -> None:
    op.create_table(
        "audit",
        sa.Column("seq", sa.BigInteger().with_variant(sa.Integer, "sqlite"), primary_key=True, autoincrement=False),
        sa.Column("request_id", sa.String(64), nullable=False, index=True),
        sa.Column("body", sa.Text, nullable=False),
        sa.Column("hash", sa.String(64), nullable=False),
    )
    _append_only()
    op.create_table(
        "api_key",
        sa.Column("name", sa.String(64), primary_key=True),
        sa.Column("prefix", sa.String(16), nullable=False),
        sa.Column("digest", sa.String(64), nullable=False, unique=True),
        sa.Column("guard", sa.String(64), nullable=False),
        sa.Column("scopes", sa.String(256), nullable=False),
        sa.Column("requests_per_minute", sa.Integer),
        sa.Column("concurrency", sa.Integer),
        sa.Column("created_unix_s", sa.Float, nullable=False),
        sa.Column("revoked_unix_s", sa.Float),
    )
    _review()
    op.create_table(
        "report",
        sa.Column("id", sa.String(32), primary_key=True),
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("created_unix_s", sa.Float, nullable=False),
        sa.Column("answer", sa.String(64), nullable=False, index=True),
        sa.Column("choice_index", sa.Integer, nullable=False),
        sa.Column("reporter", sa.String(64), nullable=False),
        sa.Column("key_name", sa.String(64), nullable=False),
        sa.Column("category", sa.String(64), nullable=False),
        sa.Column("comment", sa.Text, nullable=False),
        sa.Column("verified", sa.Integer, nullable=False),
        sa.UniqueConstraint("kind", "answer", "choice_index", "reporter", name="uq_report_once"),
    )


def _review() -> None:
    op.create_table(
        "review_item",
        sa.Column("id", sa.String(32), primary_key=True),
        sa.Column("created_unix_s", sa.Float, nullable=False),
        sa.Column("keep_until_unix_s", sa.Float, nullable=False, index=True),
        sa.Column("request_id", sa.String(64), nullable=False, index=True),
        sa.Column("decision_id", sa.String(64), nullable=False, index=True),
        sa.Column("why", sa.String(32), nullable=False),
        sa.Column("stage", sa.String(16), nullable=False),
        sa.Column("policy", sa.String(128), nullable=False),
        sa.Column("hazard", sa.String(64), nullable=False),
        sa.Column("priority", sa.Integer, nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("finding", sa.Text),
        sa.Column("lease_until_unix_s", sa.Float),
        sa.Column("holder", sa.String(64)),
        sa.Column("lease_token", sa.String(64)),
    )
    op.create_index("ix_review_item_queue", "review_item", ["state", "priority", "created_unix_s"])
    op.create_table(
        "kept_text",
        sa.Column("request_id", sa.String(64), primary_key=True),
        sa.Column("decision_id", sa.String(64), nullable=False, index=True),
        sa.Column("created_unix_s", sa.Float, nullable=False),
        sa.Column("keep_until_unix_s", sa.Float, nullable=False, index=True),
        sa.Column("policy", sa.String(128), nullable=False),
        sa.Column("model", sa.String(128), nullable=False),
        sa.Column("conversation", sa.Text, nullable=False),
    )


def _append_only() -> None:
    if op.get_bind().dialect.name == "sqlite":
        for what in ("UPDATE", "DELETE"):
            op.execute(f"CREATE TRIGGER audit_no_{what.lower()} BEFORE {what} ON audit BEGIN SELECT RAISE(ABORT, '{_REFUSED}'); END")
        return
    op.execute(f"CREATE FUNCTION audit_refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION '{_REFUSED}'; END $$")
    op.execute("CREATE TRIGGER audit_no_change BEFORE UPDATE OR DELETE ON audit FOR EACH ROW EXECUTE FUNCTION audit_refuse()")
    op.execute("CREATE TRIGGER audit_no_truncate BEFORE TRUNCATE ON audit FOR EACH STATEMENT EXECUTE FUNCTION audit_refuse()")


def downgrade() -> None:
    raise NotImplementedError("an audit log is not taken down by a migration")
