from django.db import migrations

TRIGGER = "CREATE TRIGGER {0}_is_fact BEFORE UPDATE OR DELETE ON {0} FOR EACH ROW EXECUTE FUNCTION refuse_change_of_fact();"
DROP = "DROP TRIGGER {0}_is_fact ON {0};"
FACTS = ("reconciliation_booksnapshot", "reconciliation_divergencestep")


class Migration(migrations.Migration):
    dependencies = [("reconciliation", "0001_initial"), ("accounts", "0002_facts")]
    operations = [migrations.RunSQL(TRIGGER.format(table), DROP.format(table)) for table in FACTS]
