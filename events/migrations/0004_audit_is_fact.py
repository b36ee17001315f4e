from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [("events", "0003_auditentry")]
    operations = [
        migrations.RunSQL(
            "CREATE TRIGGER events_auditentry_is_fact BEFORE UPDATE OR DELETE ON events_auditentry "
            "FOR EACH ROW EXECUTE FUNCTION refuse_change_of_fact();",
            "DROP TRIGGER events_auditentry_is_fact ON events_auditentry;",
        ),
    ]
