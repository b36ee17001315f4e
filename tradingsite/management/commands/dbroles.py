"""Print the SQL of database roles that can do no more than their part."""

from typing import Any

from django.apps import apps
from django.core.management.base import BaseCommand, CommandParser
from django.db import connection

WEB, ENGINE = "trading_web", "trading_engine"
# What an engine never needs: log-ins, sessions, second factors
PEOPLE_TABLES = (
    "django_session", "axes_", "accounts_loginsession", "accounts_appdevice", "accounts_recoverydevice", "auth_",
    "django_admin_log",
)  # fmt: skip


def statements(facts: set[str], tables: set[str]) -> list[str]:
    """Return the statements that make or renew the roles; facts are added and read, never changed, by nobody."""
    lines = []
    for role in (WEB, ENGINE):
        lines += [
            f"DO $$ BEGIN CREATE ROLE {role} NOLOGIN; EXCEPTION WHEN duplicate_object THEN NULL; END $$;",
            f"GRANT USAGE ON SCHEMA public TO {role};",
            f"REVOKE ALL ON ALL TABLES IN SCHEMA public FROM {role};",
            f"GRANT SELECT ON ALL TABLES IN SCHEMA public TO {role};",
            f"GRANT USAGE, SELECT ON ALL SEQUENCES IN SCHEMA public TO {role};",
        ]
        for table in sorted(tables):
            if role == ENGINE and table.startswith(PEOPLE_TABLES):
                lines.append(f'REVOKE ALL ON "{table}" FROM {role};')
            elif table != "django_migrations":
                rights = "INSERT" if table in facts else "INSERT, UPDATE, DELETE"
                lines.append(f'GRANT {rights} ON "{table}" TO {role};')
    lines.append(f"REVOKE INSERT, UPDATE, DELETE ON accounts_user FROM {ENGINE};")
    return lines


def fact_tables() -> set[str]:
    """Return the tables whose rows a trigger protects."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT c.relname FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid "
            "WHERE t.tgname LIKE '%\\_is\\_fact'"
        )
        return {name for (name,) in cursor.fetchall()}


class Command(BaseCommand):
    """`manage.py dbroles`."""

    help = (
        "Print the SQL that makes the roles trading_web and trading_engine: facts and the audit trail can be added to, "
        "never changed; the engine sees no log-ins; neither changes tables. Run it as the owner after each migration "
        "(manage.py dbroles | psql ...), and GRANT the roles to the log-ins of DATABASE_URL. Changes nothing itself."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        """Take no arguments."""

    def handle(self, *args: Any, **options: Any) -> None:
        """Print."""
        tables = {model._meta.db_table for model in apps.get_models(include_auto_created=True)}
        for line in statements(fact_tables(), tables | set(connection.introspection.table_names())):
            self.stdout.write(line)
