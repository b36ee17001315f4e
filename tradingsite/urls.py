"""Addresses of the site."""

from django.contrib import admin
from django.urls import include, path
from django.views.generic import RedirectView

from engine.api import Metrics
from tradingsite.health import healthz, readyz

urlpatterns = [
    path("", RedirectView.as_view(pattern_name="admin:index")),
    path("healthz", healthz, name="healthz"),
    path("readyz", readyz, name="readyz"),
    path("metrics", Metrics.as_view(), name="metrics"),
    path("", include("accounts.urls")),
    path("api/", include("tradingsite.api_router")),
    path("", include("dashboard.urls")),
    path("admin/", admin.site.urls),
]
handler404 = "tradingsite.errors.not_found"
handler500 = "tradingsite.errors.failed"
