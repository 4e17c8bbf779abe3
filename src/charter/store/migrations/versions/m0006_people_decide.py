"""What people decide about items, one row for each item and reviewer."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "review_decision",
        sa.Column("item_id", sa.String(32), primary_key=True),
        sa.Column("reviewer", sa.String(64), primary_key=True),
        sa.Column("made_unix_s", sa.Float, nullable=False),
        sa.Column("decision", sa.Text, nullable=False),
        sa.Column("comment", sa.Text, nullable=False),
    )


def downgrade() -> None:
    raise NotImplementedError("an audit log is not taken down by a migration")
