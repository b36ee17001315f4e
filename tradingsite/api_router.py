"""The routes of the REST API, one line for each resource."""

from rest_framework.routers import DefaultRouter

router = DefaultRouter()
