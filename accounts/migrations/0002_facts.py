from django.db import migrations

FUNCTION = """
CREATE FUNCTION refuse_change_of_fact() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% holds facts: a row is never changed or deleted', TG_TABLE_NAME USING ERRCODE = 'restrict_violation';
END
$$;
"""
TRIGGER = """
CREATE TRIGGER {table}_is_fact BEFORE UPDATE OR DELETE ON {table} FOR EACH ROW EXECUTE FUNCTION refuse_change_of_fact();
"""


class Migration(migrations.Migration):
    dependencies = [("accounts", "0001_initial")]
    operations = [
        migrations.RunSQL(FUNCTION, "DROP FUNCTION refuse_change_of_fact();"),
        migrations.RunSQL(
            TRIGGER.format(table="accounts_accountsnapshot"),
            "DROP TRIGGER accounts_accountsnapshot_is_fact ON accounts_accountsnapshot;",
        ),
    ]
