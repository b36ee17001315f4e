from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('events', '0004_audit_is_fact'),
    ]

    operations = [
        migrations.AlterField(
            model_name='command',
            name='result',
            field=models.TextField(blank=True, help_text='The answer, for some commands JSON; an error is cut short.'),
        ),
    ]
