# ruff: noqa: RUF012

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("passages", "0003_notices_orders"),
    ]

    operations = [
        migrations.AddField(
            model_name="log",
            name="file_said",
            field=models.BigIntegerField(default=0),
        ),
    ]
