"""Releases, tiers, rollouts with their looks, the journal, and who leads.

Records that only the core understands are kept whole, as JSON; what is searched or constrained has columns.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0001"
down_revision: str | None = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "releases",
        sa.Column("name", sa.Text, primary_key=True),
        sa.Column("tier", sa.Text, nullable=False),
        sa.Column("digest", sa.Text, nullable=False),
        sa.Column("created_at", sa.Double, nullable=False),
        sa.Column("record", JSONB, nullable=False),
    )
    op.create_table(
        "tiers",
        sa.Column("tier", sa.Text, primary_key=True),
        sa.Column("record", JSONB, nullable=False),
    )
    op.create_table(
        "rollouts",
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("tier", sa.Text, nullable=False),
        sa.Column("release", sa.Text, sa.ForeignKey("releases.name"), nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("active", sa.Boolean, nullable=False),
        sa.Column("created_at", sa.Double, nullable=False),
        sa.Column("record", JSONB, nullable=False),
    )
    # Two starts at once: the second violates this, whoever sends it.
    active = sa.text("active")
    op.create_index("rollouts_one_active_per_tier", "rollouts", ["tier"], unique=True, postgresql_where=active)
    op.create_index("rollouts_by_age", "rollouts", ["created_at"])
    op.create_table(
        "journal",
        sa.Column("seq", sa.BigInteger, sa.Identity(always=True), primary_key=True),
        sa.Column("at", sa.Double, nullable=False),
        sa.Column("tier", sa.Text, nullable=False),
        sa.Column("rollout", sa.Text),
        sa.Column("actor", sa.Text, nullable=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("event", sa.Text, nullable=False),
        sa.Column("from_state", sa.Text, nullable=False),
        sa.Column("to_state", sa.Text, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("payload", JSONB, nullable=False),
    )
    op.create_index("journal_by_rollout", "journal", ["rollout", "seq"])
    op.create_table(
        "looks",
        sa.Column("rollout", sa.Text, sa.ForeignKey("rollouts.id"), primary_key=True),
        sa.Column("number", sa.Integer, primary_key=True),
        sa.Column("at", sa.Double, nullable=False),
        sa.Column("step", sa.Integer, nullable=False),
        sa.Column("decision", sa.Text, nullable=False),
        sa.Column("look", JSONB, nullable=False),
        # What the workers counted, as they said it: with it the look can be taken again.
        sa.Column("snapshots", JSONB, nullable=False),
    )
    op.create_table(
        "deliveries",
        sa.Column("seq", sa.BigInteger, sa.ForeignKey("journal.seq", ondelete="CASCADE"), primary_key=True),
        sa.Column("webhook", sa.Text, primary_key=True),
        sa.Column("attempts", sa.Integer, nullable=False, server_default="0"),
        sa.Column("due_at", sa.Double, nullable=False),
        sa.Column("done_at", sa.Double),
        sa.Column("error", sa.Text, nullable=False, server_default=""),
    )
    op.create_index("deliveries_due", "deliveries", ["due_at"], postgresql_where=sa.text("done_at IS NULL"))
    op.create_table(
        "leadership",
        sa.Column("single", sa.Boolean, primary_key=True, server_default=sa.true()),
        sa.Column("term", sa.BigInteger, nullable=False),
        sa.Column("holder", sa.Text, nullable=False),
        sa.CheckConstraint("single", name="leadership_has_one_row"),
    )
    op.execute("INSERT INTO leadership (term, holder) VALUES (0, '')")
    op.create_table(
        "freezes",
        sa.Column("tier", sa.Text, primary_key=True),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("actor", sa.Text, nullable=False),
        sa.Column("at", sa.Double, nullable=False),
    )
    op.create_table(
        "answers",
        sa.Column("key", sa.Text, primary_key=True),
        sa.Column("request", sa.Text, nullable=False),
        sa.Column("status", sa.Integer, nullable=False),
        sa.Column("body", JSONB, nullable=False),
        sa.Column("at", sa.Double, nullable=False),
    )


def downgrade() -> None:
    tables = "answers", "freezes", "leadership", "deliveries", "looks", "journal", "rollouts", "tiers", "releases"
    for table in tables:
        op.drop_table(table)
