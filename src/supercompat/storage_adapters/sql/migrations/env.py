"""How Alembic runs the revisions: on the connection that `schema.upgrade` gives it, in that one's transaction."""

from alembic import context

from supercompat.storage_adapters.sql.schema import VERSION_TABLE
from supercompat.storage_adapters.sql.tables import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    version_table=VERSION_TABLE,
    # SQLite changes a column by copying the table.
    render_as_batch=True,
)
context.run_migrations()
