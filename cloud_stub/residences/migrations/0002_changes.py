# ruff: noqa: RUF012

import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("residences", "0001_initial"),
    ]

    operations = [
        migrations.AddField(
            model_name="controller",
            name="hello_log",
            field=models.CharField(default="", max_length=32),
        ),
        migrations.AddField(
            model_name="controller",
            name="hello_boot",
            field=models.CharField(default="", max_length=200),
        ),
        migrations.AddField(
            model_name="controller",
            name="left_at",
            field=models.DateTimeField(null=True),
        ),
        migrations.AddField(
            model_name="policyrevision",
            name="before",
            field=models.BigIntegerField(default=0),
        ),
        migrations.AddField(
            model_name="policyrevision",
            name="change",
            field=models.BinaryField(default=b""),
        ),
        migrations.CreateModel(
            name="Contact",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("slot", models.IntegerField()),
                (
                    "controller",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE, related_name="contacts", to="residences.controller"
                    ),
                ),
            ],
            options={
                "constraints": [models.UniqueConstraint(fields=("controller", "slot"), name="contact_once")],
            },
        ),
        migrations.CreateModel(
            name="DoorMode",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("door", models.CharField(max_length=80)),
                ("who", models.CharField(max_length=200)),
                ("at", models.DateTimeField()),
                (
                    "controller",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE, related_name="modes", to="residences.controller"
                    ),
                ),
            ],
            options={
                "constraints": [models.UniqueConstraint(fields=("controller", "door"), name="mode_once")],
            },
        ),
    ]
