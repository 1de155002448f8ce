"""The first tables."""

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

ACTIVE = sa.text("status IN ('queued', 'in_progress', 'requires_action', 'cancelling')")
CLAIMABLE = sa.text("status IN ('queued', 'in_progress', 'cancelling')")
OF_RUN = sa.text("run_id IS NOT NULL")


def upgrade() -> None:
    create_table("assistants")
    op.create_index("ix_assistants_project_seq", "assistants", ["project", "seq"])
    create_table("threads")
    create_messages()
    create_runs()
    create_table(
        "steps",
        sa.Column("thread_id", sa.String, nullable=False),
        sa.Column("run_id", sa.String, nullable=False),
        parent=belongs_to("steps", "runs", "run_id"),
    )
    op.create_index("ix_steps_project_thread_id_seq", "steps", ["project", "thread_id", "seq"])
    op.create_index("ix_steps_project_run_id_seq", "steps", ["project", "run_id", "seq"])


def create_messages() -> None:
    create_table(
        "messages",
        sa.Column("thread_id", sa.String, nullable=False),
        sa.Column("run_id", sa.String),
        parent=belongs_to("messages", "threads", "thread_id"),
    )
    op.create_index("ix_messages_project_thread_id_seq", "messages", ["project", "thread_id", "seq"])
    op.create_index(
        "ix_messages_of_run",
        "messages",
        ["project", "run_id", "seq"],
        sqlite_where=OF_RUN,
        postgresql_where=OF_RUN,
    )


def create_runs() -> None:
    create_table(
        "runs",
        sa.Column("thread_id", sa.String, nullable=False),
        sa.Column("status", sa.String, nullable=False),
        sa.Column("expires_at", sa.BigInteger),
        sa.Column("owner", sa.String),
        sa.Column("lease_until", sa.Double, nullable=False),
        sa.Column("fence", sa.BigInteger, nullable=False),
        parent=belongs_to("runs", "threads", "thread_id"),
    )
    op.create_index("ix_runs_project_thread_id_seq", "runs", ["project", "thread_id", "seq"])
    op.create_index(
        "uq_runs_active",
        "runs",
        ["project", "thread_id"],
        unique=True,
        sqlite_where=ACTIVE,
        postgresql_where=ACTIVE,
    )
    op.create_index(
        "ix_runs_claimable",
        "runs",
        ["project", "lease_until"],
        sqlite_where=CLAIMABLE,
        postgresql_where=CLAIMABLE,
    )


def create_table(name: str, *own: sa.Column[Any], parent: sa.ForeignKeyConstraint | None = None) -> None:
    op.create_table(
        name,
        sa.Column("seq", sa.BigInteger().with_variant(sa.Integer, "sqlite"), nullable=False),
        sa.Column("project", sa.String, nullable=False),
        sa.Column("id", sa.String, nullable=False),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        *own,
        sa.Column("object", sa.Text, nullable=False),
        sa.Column("private", sa.Text),
        sa.PrimaryKeyConstraint("seq", name=f"pk_{name}"),
        *([parent] if parent is not None else []),
        sa.UniqueConstraint("project", "id", name=f"uq_{name}_project_id"),
    )


def belongs_to(name: str, parent: str, column: str) -> sa.ForeignKeyConstraint:
    return sa.ForeignKeyConstraint(
        ["project", column],
        [f"{parent}.project", f"{parent}.id"],
        name=f"fk_{name}_project_{column}",
        ondelete="CASCADE",
    )
