"""The service, which waits half a second for slow clients."""

from ltp_service.http import client_pace
from wsgi import app

__all__ = ["app"]

client_pace.CLIENT_SECONDS = client_pace.UNREAD_SECONDS = 0.5
