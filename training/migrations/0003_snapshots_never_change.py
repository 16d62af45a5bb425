from django.db import migrations

# Runs, versions and exports say what they learned from by a snapshot's hash, so its row never changes.
# Only whoever took it may be forgotten.
FORWARD = """
CREATE FUNCTION training_refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF to_jsonb(OLD) - 'created_by_id' IS DISTINCT FROM to_jsonb(NEW) - 'created_by_id'
        OR to_jsonb(NEW) -> 'created_by_id' NOT IN ('null', to_jsonb(OLD) -> 'created_by_id')
    THEN
        RAISE EXCEPTION 'a snapshot never changes; freeze another one' USING ERRCODE = 'check_violation';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER snapshot_never_changes BEFORE UPDATE ON training_snapshot
    FOR EACH ROW EXECUTE FUNCTION training_refuse_change();
CREATE TRIGGER snapshot_item_never_changes BEFORE UPDATE ON training_snapshotitem
    FOR EACH ROW EXECUTE FUNCTION training_refuse_change();
"""
BACKWARD = """
DROP TRIGGER snapshot_never_changes ON training_snapshot;
DROP TRIGGER snapshot_item_never_changes ON training_snapshotitem;
DROP FUNCTION training_refuse_change();
"""


class Migration(migrations.Migration):
    dependencies = [("training", "0002_rloo_and_raw_policies")]
    operations = [migrations.RunSQL(FORWARD, BACKWARD)]
