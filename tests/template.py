"""A migrated database to copy: running all migrations takes longer than most tests."""

import hashlib
import os
import subprocess
import sys
from pathlib import Path

import django
import psycopg
from psycopg import sql

from tradingsite.postgres import Cluster

ROOT = Path(__file__).resolve().parent.parent
PREFIX = "template_trading_"
# Any number that nobody else locks with: two test runs must not make the same template at once
LOCK = 7_201_944


def make_template(cluster: Cluster) -> str:
    """Give the name of a database in which every migration of this checkout has run; made when there is none yet."""
    name = PREFIX + _digest()
    with psycopg.connect(cluster.url("postgres"), autocommit=True) as server:
        server.execute("SELECT pg_advisory_lock(%s)", [LOCK])
        known = [row[0] for row in server.execute("SELECT datname FROM pg_database").fetchall()]
        if name in known:
            return name
        for other in known:
            if other.startswith(PREFIX):
                server.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(other)))
        draft = f"{PREFIX}draft"
        server.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(draft)))
        subprocess.run(
            [sys.executable, "manage.py", "migrate", "--verbosity=0"], cwd=ROOT, check=True,
            env={**os.environ, "DJANGO_SETTINGS_MODULE": "tradingsite.settings", "DATABASE_URL": cluster.url(draft)},
        )  # fmt: skip
        server.execute(sql.SQL("ALTER DATABASE {} RENAME TO {}").format(sql.Identifier(draft), sql.Identifier(name)))
    return name


def _digest() -> str:
    """Give what changes with any migration, or with Django, whose own apps migrate too."""
    found = hashlib.sha256(django.__version__.encode())
    for path in sorted(ROOT.glob("*/migrations/*.py")):
        found.update(path.relative_to(ROOT).as_posix().encode() + path.read_bytes())
    return found.hexdigest()[:16]
