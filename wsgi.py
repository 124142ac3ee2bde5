"""The WSGI application, for gunicorn: `gunicorn wsgi:app`."""

from ltp_service.app import create_app
from ltp_service.settings.config import keep_or_load_config

app = create_app(keep_or_load_config())
