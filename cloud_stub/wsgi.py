"""The WSGI application, for `vantail-cloud serve` or any WSGI server started with VANTAIL_CLOUD_DATA set."""

import os

from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "cloud_stub.settings")
application = get_wsgi_application()
