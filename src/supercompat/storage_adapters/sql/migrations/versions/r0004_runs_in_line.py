"""What tells that runs stand in line behind an active one."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0002"

FOLLOWED = sa.Column("followed", sa.Boolean)


def upgrade() -> None:
    if op.get_bind().dialect.name != "sqlite":
        op.add_column("runs", FOLLOWED)
        return
    # A row is read from its start, so that the column has to come before the object: the table is copied.
    with op.batch_alter_table("runs", recreate="always") as runs:
        runs.add_column(FOLLOWED, insert_after="fence")
