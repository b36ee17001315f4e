"""Addresses of the site."""

from django.contrib import admin
from django.urls import include, path
from django.views.generic import RedirectView

from tradingsite.health import healthz

urlpatterns = [
    path("", RedirectView.as_view(pattern_name="admin:index")),
    path("healthz", healthz, name="healthz"),
    path("", include("accounts.urls")),
    path("api/", include("tradingsite.api_router")),
    path("", include("dashboard.urls")),
    path("admin/", admin.site.urls),
]
handler404 = "tradingsite.errors.not_found"
handler500 = "tradingsite.errors.failed"
