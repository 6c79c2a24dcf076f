"""Django's settings. The data folder comes from VANTAIL_CLOUD_DATA, which `vantail-cloud` sets from --data; the
database from VANTAIL_DATABASE, which it sets from --database."""

import os
from pathlib import Path

from cloud_stub import database, folder

DATA = Path(os.environ[folder.ENVIRONMENT])

DEBUG = False
SECRET_KEY = folder.read_secret(DATA / folder.SECRET_KEY)
# Loopback only; `serve --listen ADDRESS --allow-host NAME` adds to it.
ALLOWED_HOSTS = ["127.0.0.1", "localhost", "[::1]"]

ROOT_URLCONF = "cloud_stub.urls"
WSGI_APPLICATION = "cloud_stub.wsgi.application"
INSTALLED_APPS = [
    "django.contrib.staticfiles",
    "django_htmx",
    "cloud_stub.residences",
    "cloud_stub.passages",
    "cloud_stub.enrolment",
    "cloud_stub.transfers",
]
MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "cloud_stub.browser_rules.browser_rules",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "django.middleware.locale.LocaleMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "django_htmx.middleware.HtmxMiddleware",
]
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.template.context_processors.i18n",
            ]
        },
    }
]

DATABASES = {"default": database.settings_of(os.environ.get(database.ENVIRONMENT, ""), DATA)}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

STATIC_URL = "static/"
WHITENOISE_USE_FINDERS = True  # the few files are served from the packages, nothing to collect

USE_TZ = True
TIME_ZONE = "UTC"  # pages show each site's own
USE_I18N = True
LANGUAGE_CODE = "en"
LANGUAGES = [("en", "English"), ("fr", "Français")]
LOCALE_PATHS = [DATA / "locale"]

CSRF_COOKIE_HTTPONLY = True
CSRF_COOKIE_SAMESITE = "Strict"
LANGUAGE_COOKIE_SAMESITE = "Lax"
SECURE_REFERRER_POLICY = "same-origin"
X_FRAME_OPTIONS = "DENY"

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"line": {"format": "vantail-cloud: %(levelname)s %(name)s: %(message)s"}},
    "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "line"}},
    "root": {"handlers": ["stderr"], "level": "WARNING"},
    "loggers": {
        "vantail.cloud": {"level": "INFO"},
        "django.security.DisallowedHost": {"level": "CRITICAL"},  # a 400 says it to whoever asked
    },
}
