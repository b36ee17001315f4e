"""The ASGI application: pages and API over HTTP, live updates over WebSockets."""

import os
import sys

from django.core.asgi import get_asgi_application

from core.clock import SystemClock
from core.loglevel import follow
from tradingsite.env import EnvError, load

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tradingsite.settings")
try:
    load()
    # Django is set up before anything that imports models
    django_application = get_asgi_application()
    follow(load().trading_var_dir / "log", SystemClock())
except EnvError as error:
    sys.exit(str(error))

from channels.auth import AuthMiddlewareStack
from channels.routing import ProtocolTypeRouter, URLRouter
from channels.security.websocket import AllowedHostsOriginValidator

from events.routing import websocket_urlpatterns
from tradingsite.sockets import TokenDoor

sockets = URLRouter(websocket_urlpatterns)
application = ProtocolTypeRouter(
    {
        "http": django_application,
        "websocket": TokenDoor(sockets, AllowedHostsOriginValidator(AuthMiddlewareStack(sockets))),
    }
)
