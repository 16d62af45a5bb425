"""Addresses of the registry, below /api/v1/."""

from __future__ import annotations

from django.urls import path

from inference.api import models, projects

urlpatterns = [
    path("projects/", projects.Projects.as_view()),
    path("base-models/", projects.BaseModels.as_view()),
    path("projects/<uuid:project_id>/models/", models.Models.as_view()),
    path("models/<uuid:version_id>/", models.Model.as_view()),
    path("models/<uuid:version_id>/lineage/", models.Lineage.as_view()),
    path("models/<uuid:version_id>/promote/", models.Promote.as_view()),
]
