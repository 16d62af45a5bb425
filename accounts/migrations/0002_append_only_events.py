from django.db import migrations

FORWARD = """
CREATE FUNCTION accounts_event_is_append_only() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'UPDATE'
        AND OLD.chain_seq IS NULL AND NEW.chain_seq IS NOT NULL AND NEW.chain_sha256 <> ''
        AND (OLD.id, OLD.at, OLD.kind, OLD.subject, OLD.data) = (NEW.id, NEW.at, NEW.kind, NEW.subject, NEW.data)
        AND OLD.project_id IS NOT DISTINCT FROM NEW.project_id
        AND OLD.actor IS NOT DISTINCT FROM NEW.actor
    THEN
        RETURN NEW;
    END IF;
    RAISE EXCEPTION 'events are append-only: % of event % refused', TG_OP, OLD.id USING ERRCODE = 'check_violation';
END
$$;
CREATE TRIGGER event_append_only BEFORE UPDATE OR DELETE ON accounts_event
    FOR EACH ROW EXECUTE FUNCTION accounts_event_is_append_only();
"""
BACKWARD = """
DROP TRIGGER event_append_only ON accounts_event;
DROP FUNCTION accounts_event_is_append_only();
"""


class Migration(migrations.Migration):
    """An event is written once; only the sealer may add its place in the chain, once."""

    dependencies = [("accounts", "0001_initial")]
    operations = [migrations.RunSQL(FORWARD, BACKWARD)]
