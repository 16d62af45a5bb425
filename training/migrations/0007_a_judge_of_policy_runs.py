import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('inference', '__first__'),
        ('training', '0006_reward_models_on_other_labelers'),
    ]

    operations = [
        migrations.AddField(
            model_name='run',
            name='judge',
            field=models.ForeignKey(null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='inference.modelversion'),
        ),
    ]
