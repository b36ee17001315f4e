"""The ASGI application: pages and API over HTTP, live updates over WebSockets."""

import os
import sys

from tradingsite.env import EnvError, load

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tradingsite.settings")
try:
    load()
except EnvError as error:
    sys.exit(str(error))

from django.core.asgi import get_asgi_application

# Django is set up before anything that imports models
django_application = get_asgi_application()

from channels.auth import AuthMiddlewareStack  # noqa: E402
from channels.routing import ProtocolTypeRouter, URLRouter  # noqa: E402
from channels.security.websocket import AllowedHostsOriginValidator  # noqa: E402

from events.routing import websocket_urlpatterns  # noqa: E402

application = ProtocolTypeRouter(
    {
        "http": django_application,
        "websocket": AllowedHostsOriginValidator(AuthMiddlewareStack(URLRouter(websocket_urlpatterns))),
    }
)
