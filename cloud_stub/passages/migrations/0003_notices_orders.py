# ruff: noqa: RUF012

import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("passages", "0002_chain"),
        ("residences", "0002_changes"),
    ]

    operations = [
        migrations.AlterField(
            model_name="event",
            name="controller",
            field=models.ForeignKey(
                on_delete=django.db.models.deletion.PROTECT, related_name="%(class)ss", to="residences.controller"
            ),
        ),
        migrations.CreateModel(
            name="Notice",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("log", models.CharField(max_length=32)),
                ("seq", models.BigIntegerField()),
                ("at_ms", models.BigIntegerField()),
                ("trusted", models.BooleanField()),
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
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="%(class)ss",
                        to="residences.controller",
                    ),
                ),
            ],
            options={
                "constraints": [models.UniqueConstraint(fields=("controller", "log", "seq"), name="notice_once")],
            },
        ),
        migrations.CreateModel(
            name="Order",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("request", models.CharField(max_length=16, unique=True)),
                ("action", models.CharField(max_length=16)),
                ("door", models.CharField(max_length=200)),
                ("until_ms", models.BigIntegerField(default=0)),
                ("who", models.CharField(max_length=200)),
                ("credential", models.CharField(max_length=20, null=True)),
                ("created_at", models.DateTimeField()),
                ("state", models.CharField(max_length=12)),
                ("asked_at", models.DateTimeField(null=True)),
                ("times", models.IntegerField(default=0)),
                ("result", models.CharField(default="", max_length=200)),
                ("reason", models.CharField(default="", max_length=200)),
                ("status", models.TextField(default="")),
                ("is_purged", models.BooleanField(default=False)),
                (
                    "controller",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT, related_name="orders", to="residences.controller"
                    ),
                ),
            ],
            options={
                "indexes": [
                    models.Index(
                        condition=models.Q(("state__in", ("waiting", "asked", "sent"))),
                        fields=["controller"],
                        name="order_open",
                    ),
                    models.Index(fields=["controller", "-id"], name="order_newest"),
                ],
            },
        ),
    ]
