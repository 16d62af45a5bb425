from django.db import migrations

from labeling.identity import prefix_digest_of
from labeling.pii import kinds_in

AT_ONCE = 1000


def look(apps, _schema_editor):
    """Fill both columns of the prompts that are there, by the code that fills them at every import from now on."""
    Prompt = apps.get_model("labeling", "Prompt")
    waiting = []
    for prompt in Prompt.objects.only("id", "messages").iterator(chunk_size=AT_ONCE):
        prompt.prefix_digest = prefix_digest_of(prompt.messages)
        prompt.pii = kinds_in(prompt.messages)
        waiting.append(prompt)
        if len(waiting) == AT_ONCE:
            Prompt.objects.bulk_update(waiting, ["prefix_digest", "pii"])
            waiting.clear()
    Prompt.objects.bulk_update(waiting, ["prefix_digest", "pii"])


class Migration(migrations.Migration):

    dependencies = [
        ("labeling", "0003_near_duplicates_and_personal_data"),
    ]

    operations = [
        migrations.RunPython(look, migrations.RunPython.noop),
    ]
