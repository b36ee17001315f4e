"""Let events that concern no cycle and no order be retired when they are old; everything else stays a fact."""

from django.db import migrations

# A week is the least: whoever reaches the function can't wipe out what he just did
FUNCTIONS = """
CREATE FUNCTION refuse_change_of_event() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'DELETE' AND current_setting('trading.retention', true) = 'on' AND OLD.cycle_id IS NULL
        AND OLD.order_id IS NULL AND OLD.at < clock_timestamp() - interval '7 days' THEN
        RETURN OLD;
    END IF;
    RAISE EXCEPTION '% holds facts: a row is never changed or deleted', TG_TABLE_NAME USING ERRCODE = 'restrict_violation';
END
$$;
CREATE FUNCTION retire_events(debug_before timestamptz, others_before timestamptz, most integer) RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public AS $$
DECLARE gone integer;
BEGIN
    PERFORM set_config('trading.retention', 'on', true);
    DELETE FROM events_event WHERE id IN (
        SELECT e.id FROM events_event e
        WHERE e.at < CASE e.level WHEN 'debug' THEN debug_before ELSE others_before END
            AND e.at < greatest(debug_before, others_before)
            AND e.at < clock_timestamp() - interval '7 days'
            AND e.cycle_id IS NULL AND e.order_id IS NULL
            AND NOT EXISTS (SELECT FROM notifications_delivery d WHERE d.event_id = e.id)
        LIMIT most
    );
    GET DIAGNOSTICS gone = ROW_COUNT;
    PERFORM set_config('trading.retention', 'off', true);
    RETURN gone;
END
$$;
DROP TRIGGER events_event_is_fact ON events_event;
CREATE TRIGGER events_event_is_fact BEFORE UPDATE OR DELETE ON events_event
FOR EACH ROW EXECUTE FUNCTION refuse_change_of_event();
"""
BACK = """
DROP TRIGGER events_event_is_fact ON events_event;
CREATE TRIGGER events_event_is_fact BEFORE UPDATE OR DELETE ON events_event
FOR EACH ROW EXECUTE FUNCTION refuse_change_of_fact();
DROP FUNCTION retire_events(timestamptz, timestamptz, integer);
DROP FUNCTION refuse_change_of_event();
"""


class Migration(migrations.Migration):
    dependencies = [("events", "0005_command_answers")]
    operations = [migrations.RunSQL(FUNCTIONS, BACK)]
