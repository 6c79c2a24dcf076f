"""The app of what happened at the doors."""

from django.apps import AppConfig


class PassagesConfig(AppConfig):
    name = "cloud_stub.passages"
    label = "passages"
