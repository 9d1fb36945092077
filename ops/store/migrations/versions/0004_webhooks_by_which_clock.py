"""By which clock a webhook's next try was set, so that a jump of the wall clock neither delays nor hastens it."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision: str | None = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # Of the boot that due_at was read in, and how far its wall clock stood ahead of the clock since that boot. Without
    # them (nothing was tried yet) it is due at once.
    op.add_column("deliveries", sa.Column("boot", sa.Text))
    op.add_column("deliveries", sa.Column("ahead_seconds", sa.Double))


def downgrade() -> None:
    op.drop_column("deliveries", "ahead_seconds")
    op.drop_column("deliveries", "boot")
