"""Alembic's door: runs on the connection that ``Database`` gives it, inside its transaction."""

from __future__ import annotations

from alembic import context

from charter.store.tables import metadata

context.configure(connection=context.config.attributes["connection"], target_metadata=metadata, transactional_ddl=True)
context.run_migrations()
