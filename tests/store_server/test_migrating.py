"""Migrations on real databases, 15 and 18: to the newest, once, and never backwards."""

from __future__ import annotations

import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psycopg
import pytest

from ops.store.errors import StoreUnavailable
from ops.store.migrating import SCRIPTS, MigrationError, migrate, revisions

VERSION = """
from alembic import op
import sqlalchemy as sa
revision = {name!r}
down_revision = {before!r}
def upgrade():
    op.create_table({table!r}, sa.Column("id", sa.Integer, primary_key=True))
    {more}
"""


@pytest.fixture
def scripts(tmp_path: Path) -> Path:
    """A folder of migrations with two versions: the tables ``one`` and ``two``."""
    folder = tmp_path / "50% migrations"
    (folder / "versions").mkdir(parents=True)
    shutil.copy(SCRIPTS / "env.py", folder)
    add(folder, "0001", None, "one", more="op.execute('SELECT pg_sleep(0.3)')")
    add(folder, "0002", "0001", "two")
    return folder


def add(folder: Path, name: str, before: str | None, table: str, more: str = "") -> None:
    text = VERSION.format(name=name, before=before, table=table, more=more)
    (folder / "versions" / f"{name}.py").write_text(text)


def tables(url: str) -> set[str]:
    with psycopg.connect(url) as connection:
        return {row[0] for row in connection.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")}


@pytest.mark.server
def test_the_products_own_migrations_run_from_nothing_and_again(database_url: str) -> None:
    migrate(database_url)
    there, newest = revisions(database_url)
    assert there == newest is not None
    before = tables(database_url)
    migrate(database_url)
    assert tables(database_url) == before


@pytest.mark.server
def test_an_older_database_is_brought_forward(database_url: str, scripts: Path) -> None:
    migrate(database_url, scripts)
    add(scripts, "0003", "0002", "three")
    assert revisions(database_url, scripts) == ("0002", "0003")
    migrate(database_url, scripts)
    assert tables(database_url) == {"one", "two", "three", "alembic_version"}


@pytest.mark.server
def test_two_at_once_migrate_once(database_url: str, scripts: Path) -> None:
    with ThreadPoolExecutor(4) as pool:
        for done in [pool.submit(migrate, database_url, scripts) for _ in range(4)]:
            done.result(60)
    assert tables(database_url) == {"one", "two", "alembic_version"}


@pytest.mark.server
def test_a_database_newer_than_the_code_is_refused_and_left_alone(database_url: str, scripts: Path) -> None:
    migrate(database_url, scripts)
    (scripts / "versions" / "0002.py").unlink()
    shutil.rmtree(scripts / "versions" / "__pycache__", ignore_errors=True)
    with pytest.raises(MigrationError, match="at revision 0002, which this version does not know"):
        migrate(database_url, scripts)
    assert "two" in tables(database_url)


@pytest.mark.server
def test_a_migration_that_fails_leaves_the_version_before_it(database_url: str, scripts: Path) -> None:
    add(scripts, "0003", "0002", "three", more="op.execute('SELECT 1 / 0')")
    with pytest.raises(MigrationError, match="division by zero"):
        migrate(database_url, scripts)
    assert tables(database_url) == {"one", "two", "alembic_version"}
    assert revisions(database_url, scripts)[0] == "0002"


def test_a_server_that_is_not_there_can_be_tried_again_and_no_password_shows() -> None:
    with pytest.raises(StoreUnavailable) as refused:
        migrate("postgresql://someone:hush@127.0.0.1:9/nothing")
    assert "hush" not in str(refused.value)


@pytest.mark.parametrize("url", ["", "nonsense", "mysql://someone@127.0.0.1/x"])
def test_a_url_of_something_else_is_refused(url: str) -> None:
    with pytest.raises(MigrationError):
        migrate(url)
