"""A comment is kept for the time that was configured when it was filed. Those that are here keep the rule they had: the longest time of any item."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

_DAYS_30_S = 30 * 86_400.0


def upgrade() -> None:
    op.add_column("report", sa.Column("keep_until_unix_s", sa.Float))
    longest = "(SELECT max(keep_until_unix_s - created_unix_s) FROM review_item)"
    op.execute(f"UPDATE report SET keep_until_unix_s = created_unix_s + coalesce({longest}, {_DAYS_30_S})")


def downgrade() -> None:
    raise NotImplementedError("an audit log is not taken down by a migration")
