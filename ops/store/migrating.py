"""Brings the database's schema to the code's version, by Alembic; the configuration is here, not in a file.

Several may call it at once: an advisory lock lets one migrate while the others wait.
"""

from __future__ import annotations

from pathlib import Path

import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from alembic.util import CommandError

from ops.store.errors import StoreError, StoreUnavailable

SCRIPTS = Path(__file__).with_name("migrations")
LOCK_KEY = 0x67726174  # "grat": any number that nobody else on this database uses
LOCK_WAIT_SECONDS_MAX = 60
_CONNECT_SECONDS_MAX = 5


class MigrationError(StoreError):
    """The schema cannot be brought to the code's version; another try gives the same."""


def migrate(url: str, scripts: Path = SCRIPTS) -> None:
    """Upgrades the database at ``url`` (``postgresql://…``) to the newest of ``scripts``. Raises MigrationError if the
    database is newer than the code or a migration fails, StoreUnavailable if it cannot be reached or locked."""
    config = _config(scripts)
    directory = ScriptDirectory.from_config(config)
    engine = _engine(url)
    try:
        with engine.connect() as connection:
            connection.execute(sa.text(f"SET lock_timeout = '{LOCK_WAIT_SECONDS_MAX}s'"))
            connection.execute(sa.text("SELECT pg_advisory_lock(:key)"), {"key": LOCK_KEY})
            connection.commit()  # the lock belongs to the session; it goes with the connection
            _refuse_newer(MigrationContext.configure(connection).get_current_heads(), directory)
            connection.rollback()
            config.attributes["connection"] = connection
            command.upgrade(config, "head")
    except sa.exc.OperationalError as e:
        raise StoreUnavailable(f"the database cannot be migrated now: {_first_line(e)}") from e
    except (sa.exc.SQLAlchemyError, CommandError) as e:
        raise MigrationError(f"a migration failed: {_first_line(e)}") from e
    finally:
        engine.dispose()


def revisions(url: str, scripts: Path = SCRIPTS) -> tuple[str | None, str | None]:
    """The database's revision and the code's; None is an empty database. Raises StoreUnavailable."""
    directory = ScriptDirectory.from_config(_config(scripts))
    engine = _engine(url)
    try:
        with engine.connect() as connection:
            heads = MigrationContext.configure(connection).get_current_heads()
    except sa.exc.SQLAlchemyError as e:
        raise StoreUnavailable(f"the database cannot be asked: {_first_line(e)}") from e
    finally:
        engine.dispose()
    return (heads[0] if heads else None, directory.get_current_head())


def _refuse_newer(heads: tuple[str, ...], directory: ScriptDirectory) -> None:
    known = {script.revision for script in directory.walk_revisions()}
    for revision in heads:
        if revision not in known:
            raise MigrationError(
                f"the database is at revision {revision}, which this version does not know: "
                "newer code has migrated it; run that version, or restore an older database"
            )


def _config(scripts: Path) -> Config:
    config = Config()
    config.set_main_option("script_location", str(scripts).replace("%", "%%"))
    return config


def _engine(url: str) -> sa.Engine:
    try:
        parsed = sa.make_url(url)
    except sa.exc.ArgumentError as e:
        raise MigrationError("the database's URL cannot be understood: postgresql://USER@HOST:PORT/NAME") from e
    if parsed.get_backend_name() not in ("postgresql", "postgres"):
        raise MigrationError(f"{parsed.get_backend_name()} is not PostgreSQL")
    return sa.create_engine(
        parsed.set(drivername="postgresql+psycopg"),
        poolclass=sa.NullPool,
        connect_args={"connect_timeout": _CONNECT_SECONDS_MAX},
    )


def _first_line(error: Exception) -> str:
    cause = getattr(error, "orig", None) or error
    return (str(cause).strip() or type(error).__name__).splitlines()[0]
