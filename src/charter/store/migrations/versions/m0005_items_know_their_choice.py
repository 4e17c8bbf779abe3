"""An item tells which choice of an answer it is of: a report about another choice is not about it. Of those that are here nobody knows."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("review_item", sa.Column("choice_index", sa.Integer))


def downgrade() -> None:
    raise NotImplementedError("an audit log is not taken down by a migration")
