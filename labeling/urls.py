"""Addresses below /api/v1/."""

from django.urls import path

from labeling.api import tasks

urlpatterns = [
    path("projects/<uuid:project_id>/tasks/next/", tasks.NextTask.as_view()),
    path("assignments/", tasks.OwnAssignments.as_view()),
    path("assignments/<uuid:assignment_id>/", tasks.OneAssignment.as_view()),
    path("assignments/<uuid:assignment_id>/draft/", tasks.OneDraft.as_view()),
    path("assignments/<uuid:assignment_id>/submit/", tasks.SubmitAnswer.as_view()),
    path("assignments/<uuid:assignment_id>/skip/", tasks.SkipTask.as_view()),
    path("assignments/<uuid:assignment_id>/release/", tasks.ReleaseTask.as_view()),
    path("assignments/<uuid:assignment_id>/heartbeat/", tasks.Heartbeat.as_view()),
]
