"""Reference transcripts: what a release's model made of fixed texts when it was registered."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0003"
down_revision: str | None = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "transcripts",
        sa.Column("release", sa.Text, sa.ForeignKey("releases.name", ondelete="CASCADE"), primary_key=True),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("reason", sa.Text, nullable=False, server_default=""),
        sa.Column("attempts", sa.Integer, nullable=False, server_default="0"),
        sa.Column("texts_digest", sa.Text, nullable=False, server_default=""),
        sa.Column("recorded_at", sa.Double),
        sa.Column("record", JSONB),
    )
    op.create_index("transcripts_pending", "transcripts", ["release"], postgresql_where=sa.text("state = 'pending'"))


def downgrade() -> None:
    op.drop_table("transcripts")
