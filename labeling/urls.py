"""Addresses below /api/v1/."""

from django.urls import path

from labeling.api import prompts, quality, tasks

urlpatterns = [
    path("projects/<uuid:project_id>/prompts/", prompts.Prompts.as_view()),
    path("projects/<uuid:project_id>/prompts/import/", prompts.PromptImport.as_view()),
    path("prompts/<uuid:prompt_id>/", prompts.OnePrompt.as_view()),
    path("prompts/<uuid:prompt_id>/clear-pii/", prompts.ClearPii.as_view()),
    path("projects/<uuid:project_id>/quality/", quality.ProjectQuality.as_view()),
    path("projects/<uuid:project_id>/tasks/next/", tasks.NextTask.as_view()),
    path("assignments/", tasks.OwnAssignments.as_view()),
    path("assignments/<uuid:assignment_id>/", tasks.OneAssignment.as_view()),
    path("assignments/<uuid:assignment_id>/draft/", tasks.OneDraft.as_view()),
    path("assignments/<uuid:assignment_id>/submit/", tasks.SubmitAnswer.as_view()),
    path("assignments/<uuid:assignment_id>/skip/", tasks.SkipTask.as_view()),
    path("assignments/<uuid:assignment_id>/release/", tasks.ReleaseTask.as_view()),
    path("assignments/<uuid:assignment_id>/heartbeat/", tasks.Heartbeat.as_view()),
]
