from django.db import migrations

# What a labeler submitted is never rewritten: a correction is a new revision, and only `is_latest` moves to it.
FORWARD = """
CREATE FUNCTION labeling_refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF to_jsonb(OLD) - 'is_latest' IS DISTINCT FROM to_jsonb(NEW) - 'is_latest' THEN
        RAISE EXCEPTION 'a submitted answer never changes; add a revision' USING ERRCODE = 'check_violation';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER demonstration_never_changes BEFORE UPDATE ON labeling_demonstration
    FOR EACH ROW EXECUTE FUNCTION labeling_refuse_change();
CREATE TRIGGER ranking_never_changes BEFORE UPDATE ON labeling_ranking
    FOR EACH ROW EXECUTE FUNCTION labeling_refuse_change();
CREATE TRIGGER ranked_item_never_changes BEFORE UPDATE ON labeling_rankeditem
    FOR EACH ROW EXECUTE FUNCTION labeling_refuse_change();

-- Slots die and are born at the head of the hand-out index all day long: clean up sooner than the default fifth.
ALTER TABLE labeling_slot SET (autovacuum_vacuum_scale_factor = 0.02, autovacuum_analyze_scale_factor = 0.02);
"""
BACKWARD = """
DROP TRIGGER demonstration_never_changes ON labeling_demonstration;
DROP TRIGGER ranking_never_changes ON labeling_ranking;
DROP TRIGGER ranked_item_never_changes ON labeling_rankeditem;
DROP FUNCTION labeling_refuse_change();
ALTER TABLE labeling_slot RESET (autovacuum_vacuum_scale_factor, autovacuum_analyze_scale_factor);
"""


class Migration(migrations.Migration):
    dependencies = [("labeling", "0001_initial")]
    operations = [migrations.RunSQL(FORWARD, BACKWARD)]
