from django.db import migrations

TRIGGER = "CREATE TRIGGER {0}_is_fact BEFORE UPDATE OR DELETE ON {0} FOR EACH ROW EXECUTE FUNCTION refuse_change_of_fact();"
DROP = "DROP TRIGGER {0}_is_fact ON {0};"
VIEW = """
CREATE VIEW orders_position_marks AS
SELECT m.account_id, m.at, u.identifier, u.profit, u.swap, u.price
FROM orders_accountmarks m, unnest(m.identifiers, m.profits, m.swaps, m.prices) AS u(identifier, profit, swap, price);
"""


class Migration(migrations.Migration):
    dependencies = [("orders", "0001_initial"), ("accounts", "0002_facts")]
    operations = [
        migrations.RunSQL(TRIGGER.format("orders_deal"), DROP.format("orders_deal")),
        migrations.RunSQL(TRIGGER.format("orders_intenthistory"), DROP.format("orders_intenthistory")),
        migrations.RunSQL(VIEW, "DROP VIEW orders_position_marks;"),
    ]
