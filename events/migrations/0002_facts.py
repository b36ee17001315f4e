from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [("events", "0001_initial"), ("accounts", "0002_facts")]
    operations = [
        migrations.RunSQL(
            "CREATE TRIGGER events_event_is_fact BEFORE UPDATE OR DELETE ON events_event "
            "FOR EACH ROW EXECUTE FUNCTION refuse_change_of_fact();",
            "DROP TRIGGER events_event_is_fact ON events_event;",
        ),
    ]
