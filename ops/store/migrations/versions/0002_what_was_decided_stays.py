"""Looks keep all that the judge was told, with a chained digest; what was recorded can no longer be changed.

A trigger refuses UPDATE, DELETE and TRUNCATE on journal and looks, whoever asks. Retention alone may delete: it says
in its transaction up to when, and only rows older than that may go. See docs/decisions.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0002"
down_revision: str | None = "0001"
branch_labels = None
depends_on = None

_FINAL = """
CREATE FUNCTION recorded_is_final() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    forget_before double precision := nullif(current_setting('gratefulgpt.forget_before', true), '');
BEGIN
    IF TG_OP = 'DELETE' THEN
        IF OLD.at < forget_before THEN
            RETURN OLD;
        END IF;
    END IF;
    RAISE EXCEPTION '% on % is refused: what was recorded stays as it was', TG_OP, TG_TABLE_NAME
        USING ERRCODE = 'insufficient_privilege',
              HINT = 'Retention deletes what is older than the spec keeps; nothing else does.';
END
$$
"""


def upgrade() -> None:
    op.add_column("looks", sa.Column("told", JSONB))
    op.add_column("looks", sa.Column("digest", sa.Text, nullable=False, server_default=""))
    op.create_index("journal_by_time", "journal", ["at"])
    op.execute(_FINAL)
    for table in ("journal", "looks"):
        op.execute(
            f"CREATE TRIGGER {table}_rows_are_final BEFORE UPDATE OR DELETE ON {table} "
            "FOR EACH ROW EXECUTE FUNCTION recorded_is_final()"
        )
        op.execute(
            f"CREATE TRIGGER {table}_is_final BEFORE TRUNCATE ON {table} "
            "FOR EACH STATEMENT EXECUTE FUNCTION recorded_is_final()"
        )


def downgrade() -> None:
    for table in ("journal", "looks"):
        op.execute(f"DROP TRIGGER {table}_rows_are_final ON {table}")
        op.execute(f"DROP TRIGGER {table}_is_final ON {table}")
    op.execute("DROP FUNCTION recorded_is_final")
    op.drop_index("journal_by_time", "journal")
    op.drop_column("looks", "digest")
    op.drop_column("looks", "told")
