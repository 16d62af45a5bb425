from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('accounts', '0003_labeler_weights'),
    ]

    operations = [
        migrations.RemoveConstraint(model_name='user', name='user_language_known'),
        migrations.AlterField(
            model_name='user',
            name='language',
            field=models.CharField(blank=True, choices=[('en', 'English'), ('zh-Hans', '简体中文')], default='', max_length=10),
        ),
        migrations.AddConstraint(
            model_name='user',
            constraint=models.CheckConstraint(condition=models.Q(('language__in', ['', 'en', 'zh-Hans'])), name='user_language_known'),
        ),
    ]
