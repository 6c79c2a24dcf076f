# ruff: noqa: RUF012

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("residences", "0002_changes"),
    ]

    operations = [
        migrations.AddField(model_name="site", name="names_persons", field=models.BooleanField(default=True)),
    ]
