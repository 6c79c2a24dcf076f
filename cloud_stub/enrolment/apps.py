"""The app of certificates: who may enrol, what was signed, what was revoked."""

from django.apps import AppConfig


class EnrolmentConfig(AppConfig):
    name = "cloud_stub.enrolment"
    label = "enrolment"
