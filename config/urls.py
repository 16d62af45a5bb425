"""Addresses: REST below /api/v1/, probes, and the page for everything else."""

from django.urls import URLPattern, URLResolver, include, path, re_path
from drf_spectacular.views import SpectacularJSONAPIView

from config import health, pages

APPS = ("accounts", "inference", "labeling", "training")

urlpatterns: list[URLPattern | URLResolver] = [
    path("healthz", health.healthz),
    path("readyz", health.readyz),
    path("version", health.version),
    path("metrics", health.metrics),
    path("api/schema/", SpectacularJSONAPIView.as_view()),
    *(path("api/v1/", include(f"{app}.urls")) for app in APPS),
    re_path(r"^(?:api|v1|static)(?:/|$)", pages.unknown_api),
    re_path(r"^", pages.shell),
]

handler400 = "config.pages.bad_request"
handler403 = "config.pages.permission_denied"
handler404 = "config.pages.not_found"
handler500 = "config.pages.server_error"
