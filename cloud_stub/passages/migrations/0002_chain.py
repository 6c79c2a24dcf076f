# ruff: noqa: RUF012

import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("residences", "0001_initial"),
        ("passages", "0001_initial"),
    ]

    operations = [
        migrations.AddField("event", "boot", models.CharField(default="", max_length=200)),
        migrations.AddField("event", "commitment", models.CharField(default="", max_length=32)),
        migrations.AddField("event", "is_purged", models.BooleanField(default=False)),
        migrations.AddField("event", "is_doubtful", models.BooleanField(default=False)),
        migrations.AddField("log", "chain_head", models.CharField(default="", max_length=64)),
        migrations.AddField("log", "chain_key", models.CharField(default="", max_length=64)),
        migrations.AddField("log", "is_broken", models.BooleanField(default=False)),
        migrations.AddField("log", "said_last", models.BigIntegerField(default=0)),
        migrations.AddField("log", "sessions", models.JSONField(default=list)),
        migrations.AddField("log", "hello_said", models.BigIntegerField(default=0)),
        migrations.CreateModel(
            name="ChainAlarm",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("log", models.CharField(max_length=32)),
                ("kind", models.CharField(max_length=16)),
                ("first_seq", models.BigIntegerField()),
                ("last_seq", models.BigIntegerField()),
                ("at", models.DateTimeField()),
                (
                    "controller",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="chain_alarms",
                        to="residences.controller",
                    ),
                ),
            ],
            options={
                "constraints": [
                    models.UniqueConstraint(fields=("controller", "log", "kind", "first_seq"), name="alarm_once")
                ],
            },
        ),
    ]
