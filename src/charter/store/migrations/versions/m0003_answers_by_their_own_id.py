"""Answers are also found by the id in their body, within the key that asked; one client's request id may stand for several answers."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

_OLD = "request_id, decision_id, created_unix_s, keep_until_unix_s, policy, model, conversation"


def upgrade() -> None:
    for column in (_name("key_name"), _name("response_id")):
        op.add_column("review_item", column)
    op.create_index("ix_review_item_response_id", "review_item", ["response_id"])
    op.add_column("report", _name("decision_id"))
    op.create_index("ix_report_decision_id", "report", ["decision_id"])
    op.create_table(
        "kept_text_3",
        sa.Column("decision_id", sa.String(64), primary_key=True),
        sa.Column("request_id", sa.String(64), nullable=False),
        _name("key_name"),
        _name("response_id"),
        sa.Column("created_unix_s", sa.Float, nullable=False),
        sa.Column("keep_until_unix_s", sa.Float, nullable=False),
        sa.Column("policy", sa.String(128), nullable=False),
        sa.Column("model", sa.String(128), nullable=False),
        sa.Column("conversation", sa.Text, nullable=False),
    )
    op.execute(f"INSERT INTO kept_text_3 ({_OLD}) SELECT {_OLD} FROM kept_text")
    op.drop_table("kept_text")
    op.rename_table("kept_text_3", "kept_text")
    for name in ("request_id", "response_id", "keep_until_unix_s"):
        op.create_index(f"ix_kept_text_{name}", "kept_text", [name])


def _name(column: str) -> sa.Column[str]:
    return sa.Column(column, sa.String(64), nullable=False, server_default="")


def downgrade() -> None:
    raise NotImplementedError("an audit log is not taken down by a migration")
