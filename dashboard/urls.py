"""Addresses of the desk's pages; they come before the admin's own, whose last pattern catches everything."""

from django.contrib import admin
from django.urls import path

from dashboard.alarms import fragment
from dashboard.charts import bars, chart, fetch_bars
from dashboard.drafts import look
from dashboard.statistics import statistics
from dashboard.views import brokers, engine, live
from dashboard.worstcase import worst_cases

urlpatterns = [
    path("admin/alarms/", admin.site.admin_view(fragment), name="alarms"),
    path("admin/statistics/", admin.site.admin_view(statistics), name="statistics"),
    path("admin/chart/", admin.site.admin_view(chart), name="chart"),
    path("admin/chart/bars/", admin.site.admin_view(bars), name="chart-bars"),
    path("admin/chart/fetch/", admin.site.admin_view(fetch_bars), name="chart-fetch"),
    path("admin/bots/<int:bot_id>/look/", admin.site.admin_view(look), name="bot-draft"),
    path("admin/worst-cases/<int:account_id>/", admin.site.admin_view(worst_cases), name="worst-cases"),
    path("admin/live/", admin.site.admin_view(live), name="live"),
    path("admin/engine-room/", admin.site.admin_view(engine), name="engine-room"),
    path("admin/brokers/", admin.site.admin_view(brokers), name="brokers"),
]
