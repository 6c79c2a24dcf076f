# ruff: noqa: RUF012

import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    initial = True

    dependencies = []

    operations = [
        migrations.CreateModel(
            name="Block",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("position", models.IntegerField()),
                ("slug", models.CharField(max_length=80)),
                ("name", models.CharField(max_length=200)),
                ("profile", models.CharField(max_length=200)),
            ],
            options={
                "ordering": ("position",),
                "abstract": False,
            },
        ),
        migrations.CreateModel(
            name="Company",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("position", models.IntegerField()),
                ("name", models.CharField(max_length=200)),
                ("person_in_charge", models.CharField(max_length=200)),
            ],
            options={
                "ordering": ("position",),
                "abstract": False,
            },
        ),
        migrations.CreateModel(
            name="Controller",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("position", models.IntegerField()),
                ("slug", models.CharField(max_length=80)),
                ("name", models.CharField(max_length=200)),
                ("is_mini", models.BooleanField()),
                ("is_active", models.BooleanField(default=True)),
                ("device_key", models.CharField(default="", max_length=64)),
                ("fingerprint", models.CharField(db_index=True, default="", max_length=32)),
                ("code_key", models.CharField(default="", max_length=64)),
                ("epoch", models.BigIntegerField(default=1)),
                ("revision", models.BigIntegerField(default=0)),
                ("digest", models.CharField(default="", max_length=64)),
                ("hello_revision", models.BigIntegerField(default=0)),
                ("hello_digest", models.CharField(default="", max_length=64)),
                ("software", models.CharField(default="", max_length=200)),
                ("last_contact", models.DateTimeField(null=True)),
            ],
            options={
                "ordering": ("position",),
                "abstract": False,
            },
        ),
        migrations.CreateModel(
            name="Site",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("uid", models.CharField(max_length=32, unique=True)),
                ("slug", models.CharField(max_length=80, unique=True)),
                ("name", models.CharField(max_length=200)),
                ("time_zone", models.CharField(max_length=64)),
                ("country", models.CharField(max_length=8)),
                ("subdivision", models.CharField(max_length=16)),
                ("manager", models.BigIntegerField()),
                ("untrusted_allow", models.BooleanField()),
                ("short_codes", models.BooleanField()),
            ],
        ),
        migrations.CreateModel(
            name="Door",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("position", models.IntegerField()),
                ("slug", models.CharField(max_length=80)),
                ("name", models.CharField(max_length=200)),
                ("outputs", models.JSONField()),
                ("unlock_ms", models.IntegerField()),
                ("extended_ms", models.IntegerField()),
                ("held_open_s", models.IntegerField()),
                ("auto_open", models.CharField(max_length=200)),
                ("first_card_unlock", models.BooleanField()),
                ("deny_on_log_failure", models.BooleanField()),
                ("relock_on_open", models.BooleanField()),
                ("area_in", models.CharField(max_length=80)),
                ("area_out", models.CharField(max_length=80)),
                ("interlock", models.JSONField()),
                ("badge_and_code", models.CharField(max_length=200)),
                (
                    "controller",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE, related_name="doors", to="residences.controller"
                    ),
                ),
                (
                    "site",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE, related_name="+", to="residences.site"
                    ),
                ),
            ],
            options={
                "ordering": ("position",),
                "abstract": False,
            },
        ),
        migrations.CreateModel(
            name="Flat",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("position", models.IntegerField()),
                ("flat", models.CharField(max_length=80)),
                ("name", models.CharField(max_length=200)),
                ("floor", models.CharField(max_length=80)),
                ("display", models.CharField(max_length=200)),
                ("call_code", models.CharField(max_length=20)),
                ("auto_open", models.CharField(max_length=200)),
                ("door_code", models.CharField(max_length=20)),
                ("aux1_code", models.CharField(max_length=20)),
                ("aux2_code", models.CharField(max_length=20)),
                ("duress_code", models.CharField(max_length=20)),
                ("email", models.CharField(max_length=200)),
                ("notes", models.TextField()),
                (
                    "block",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT, related_name="flats", to="residences.block"
                    ),
                ),
                (
                    "site",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE, related_name="+", to="residences.site"
                    ),
                ),
            ],
            options={
                "ordering": ("position",),
                "abstract": False,
            },
        ),
        migrations.CreateModel(
            name="Phone",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("position", models.IntegerField()),
                ("number", models.BigIntegerField()),
                ("delay_s", models.IntegerField()),
                (
                    "flat",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE, related_name="phones", to="residences.flat"
                    ),
                ),
            ],
            options={
                "ordering": ("position",),
            },
        ),
        migrations.CreateModel(
            name="Reader",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("position", models.IntegerField()),
                ("slug", models.CharField(max_length=80)),
                ("kind", models.CharField(max_length=16)),
                ("direction", models.CharField(max_length=8)),
                ("output", models.CharField(max_length=32)),
                ("keypad", models.BooleanField()),
                ("format", models.CharField(max_length=32)),
                ("address", models.IntegerField(null=True)),
                ("baud", models.IntegerField(null=True)),
                ("bits", models.IntegerField(null=True)),
                (
                    "door",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE, related_name="readers", to="residences.door"
                    ),
                ),
                (
                    "site",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE, related_name="+", to="residences.site"
                    ),
                ),
            ],
            options={
                "ordering": ("position",),
                "abstract": False,
            },
        ),
        migrations.CreateModel(
            name="Provider",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("position", models.IntegerField()),
                ("name", models.CharField(max_length=200)),
                ("from_s", models.BigIntegerField()),
                ("to_s", models.BigIntegerField()),
                ("is_permanent", models.BooleanField()),
                ("phone", models.BigIntegerField(null=True)),
                ("pass_number", models.CharField(max_length=20)),
                ("radio_number", models.CharField(max_length=20)),
                ("door_code", models.CharField(max_length=20)),
                ("relay1_code", models.CharField(max_length=20)),
                ("relay2_code", models.CharField(max_length=20)),
                (
                    "company",
                    models.ForeignKey(null=True, on_delete=django.db.models.deletion.PROTECT, to="residences.company"),
                ),
                (
                    "site",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE, related_name="+", to="residences.site"
                    ),
                ),
            ],
            options={
                "ordering": ("position",),
                "abstract": False,
            },
        ),
        migrations.CreateModel(
            name="Profile",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("position", models.IntegerField()),
                ("name", models.CharField(max_length=200)),
                ("grants", models.JSONField()),
                (
                    "site",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE, related_name="+", to="residences.site"
                    ),
                ),
            ],
            options={
                "ordering": ("position",),
                "abstract": False,
            },
        ),
        migrations.CreateModel(
            name="Pass",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("position", models.IntegerField()),
                ("flat_missing", models.CharField(max_length=80)),
                ("number", models.CharField(max_length=20)),
                ("radio_number", models.CharField(max_length=20)),
                ("kind", models.CharField(max_length=16)),
                ("colour", models.CharField(max_length=32)),
                ("profile", models.CharField(max_length=200)),
                ("from_s", models.BigIntegerField()),
                ("to_s", models.BigIntegerField()),
                ("state", models.CharField(max_length=16)),
                ("notes", models.TextField()),
                (
                    "block",
                    models.ForeignKey(null=True, on_delete=django.db.models.deletion.PROTECT, to="residences.block"),
                ),
                (
                    "flat",
                    models.ForeignKey(
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="passes",
                        to="residences.flat",
                    ),
                ),
                (
                    "site",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE, related_name="+", to="residences.site"
                    ),
                ),
            ],
            options={
                "ordering": ("position",),
                "abstract": False,
            },
        ),
        migrations.CreateModel(
            name="Panel",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("position", models.IntegerField()),
                ("slug", models.CharField(max_length=80)),
                ("door", models.CharField(max_length=80)),
                ("modem", models.CharField(max_length=80)),
                ("blocks", models.JSONField()),
                ("open_key", models.CharField(max_length=8)),
                (
                    "site",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE, related_name="+", to="residences.site"
                    ),
                ),
            ],
            options={
                "ordering": ("position",),
                "abstract": False,
            },
        ),
        migrations.CreateModel(
            name="Holiday",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("position", models.IntegerField()),
                ("day", models.DateField()),
                ("name", models.CharField(max_length=200)),
                ("every_year", models.BooleanField()),
                ("is_open", models.BooleanField()),
                (
                    "site",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE, related_name="+", to="residences.site"
                    ),
                ),
            ],
            options={
                "ordering": ("position",),
                "abstract": False,
            },
        ),
        migrations.AddField(
            model_name="controller",
            name="site",
            field=models.ForeignKey(
                on_delete=django.db.models.deletion.CASCADE, related_name="+", to="residences.site"
            ),
        ),
        migrations.AddField(
            model_name="company",
            name="site",
            field=models.ForeignKey(
                on_delete=django.db.models.deletion.CASCADE, related_name="+", to="residences.site"
            ),
        ),
        migrations.AddField(
            model_name="block",
            name="site",
            field=models.ForeignKey(
                on_delete=django.db.models.deletion.CASCADE, related_name="+", to="residences.site"
            ),
        ),
        migrations.CreateModel(
            name="Area",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("position", models.IntegerField()),
                ("slug", models.CharField(max_length=80)),
                ("passback", models.CharField(max_length=16)),
                ("timed_min", models.IntegerField()),
                (
                    "site",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE, related_name="+", to="residences.site"
                    ),
                ),
            ],
            options={
                "ordering": ("position",),
                "abstract": False,
            },
        ),
        migrations.CreateModel(
            name="Task",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("position", models.IntegerField()),
                ("name", models.CharField(max_length=200)),
                ("week_type", models.CharField(max_length=200)),
                ("access", models.JSONField()),
                ("provider", models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, to="residences.provider")),
                (
                    "site",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE, related_name="+", to="residences.site"
                    ),
                ),
            ],
            options={
                "ordering": ("position",),
                "abstract": False,
            },
        ),
        migrations.CreateModel(
            name="WeekType",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("position", models.IntegerField()),
                ("name", models.CharField(max_length=200)),
                ("intervals", models.JSONField()),
                (
                    "site",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE, related_name="+", to="residences.site"
                    ),
                ),
            ],
            options={
                "ordering": ("position",),
                "abstract": False,
            },
        ),
        migrations.CreateModel(
            name="PolicyRevision",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("epoch", models.BigIntegerField()),
                ("revision", models.BigIntegerField()),
                ("digest", models.CharField(max_length=64)),
                ("rows", models.BinaryField()),
                ("created_at", models.DateTimeField()),
                (
                    "controller",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="revisions",
                        to="residences.controller",
                    ),
                ),
            ],
            options={
                "constraints": [
                    models.UniqueConstraint(fields=("controller", "epoch", "revision"), name="revision_once")
                ],
            },
        ),
        migrations.AddConstraint(
            model_name="controller",
            constraint=models.UniqueConstraint(fields=("site", "slug"), name="controller_once"),
        ),
        migrations.AddConstraint(
            model_name="controller",
            constraint=models.UniqueConstraint(
                condition=models.Q(("device_key", ""), _negated=True), fields=("device_key",), name="device_once"
            ),
        ),
    ]
