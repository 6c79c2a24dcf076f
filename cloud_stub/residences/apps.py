"""The app of sites, their people and passes, and what their controllers are told."""

from django.apps import AppConfig


class ResidencesConfig(AppConfig):
    name = "cloud_stub.residences"
    label = "residences"
