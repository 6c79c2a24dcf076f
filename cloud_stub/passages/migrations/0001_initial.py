# ruff: noqa: RUF012

import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    initial = True

    dependencies = [
        ("residences", "0001_initial"),
    ]

    operations = [
        migrations.CreateModel(
            name="Tally",
            fields=[
                ("name", models.CharField(max_length=40, primary_key=True, serialize=False)),
                ("count", models.BigIntegerField(default=0)),
                ("last_at", models.DateTimeField()),
                ("last_detail", models.CharField(max_length=200)),
            ],
        ),
        migrations.CreateModel(
            name="Event",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("log", models.CharField(max_length=32)),
                ("seq", models.BigIntegerField()),
                ("at_ms", models.BigIntegerField()),
                ("trusted", models.BooleanField()),
                ("late", models.BooleanField()),
                ("revision", models.BigIntegerField()),
                ("door", models.CharField(max_length=200)),
                ("reader", models.CharField(max_length=200)),
                ("medium", models.CharField(max_length=200)),
                ("credential", models.CharField(max_length=20, null=True)),
                ("result", models.CharField(max_length=200)),
                ("reason", models.CharField(max_length=200)),
                ("output", models.CharField(max_length=200)),
                ("detail", models.CharField(max_length=200)),
                ("holder", models.CharField(max_length=200)),
                ("words", models.TextField()),
                ("received_at", models.DateTimeField()),
                (
                    "controller",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT, related_name="events", to="residences.controller"
                    ),
                ),
            ],
            options={
                "indexes": [
                    models.Index(fields=["-at_ms", "-id"], name="event_newest"),
                    models.Index(fields=["controller", "door", "-at_ms"], name="event_door"),
                ],
                "constraints": [models.UniqueConstraint(fields=("controller", "log", "seq"), name="event_once")],
            },
        ),
        migrations.CreateModel(
            name="Log",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("log", models.CharField(max_length=32)),
                ("acknowledged", models.BigIntegerField(default=0)),
                (
                    "controller",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT, related_name="logs", to="residences.controller"
                    ),
                ),
            ],
            options={
                "constraints": [models.UniqueConstraint(fields=("controller", "log"), name="log_once")],
            },
        ),
    ]
