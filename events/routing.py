"""WebSocket addresses of the live bus."""

from django.urls import path

from events.consumers import LiveConsumer

websocket_urlpatterns = [path("ws/live/", LiveConsumer.as_asgi())]
