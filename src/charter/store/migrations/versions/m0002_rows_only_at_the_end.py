"""SQLite: an audit row may only be put behind the last one. INSERT OR REPLACE would put one in another's place, and asks no trigger for deletions."""

from __future__ import annotations

from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    if op.get_bind().dialect.name == "sqlite":
        op.execute(
            "CREATE TRIGGER audit_only_at_the_end BEFORE INSERT ON audit WHEN NEW.seq <= (SELECT max(seq) FROM audit) "
            "BEGIN SELECT RAISE(ABORT, 'the audit log is append-only'); END"
        )


def downgrade() -> None:
    raise NotImplementedError("an audit log is not taken down by a migration")
