"""Addresses of rounds, runs and snapshots, below /api/v1/."""

from __future__ import annotations

from django.urls import path

from training.api import events, rounds, runs, snapshots

PROJECT, ROUND, RUN, SNAPSHOT = (
    "projects/<uuid:project_id>/",
    "rounds/<uuid:round_id>/",
    "runs/<uuid:run_id>/",
    "snapshots/<uuid:snapshot_id>/",
)

urlpatterns = [
    path(PROJECT + "recipes/defaults/", rounds.RecipeDefaults.as_view()),
    path(PROJECT + "rounds/", rounds.Rounds.as_view()),
    path(PROJECT + "rounds/estimate/", rounds.Estimate.as_view()),
    path(ROUND, rounds.RoundDetail.as_view()),
    path(ROUND + "advance/", rounds.Advance.as_view()),
    path(ROUND + "cancel/", rounds.Cancel.as_view()),
    path(ROUND + "retry/", rounds.Retry.as_view()),
    path(ROUND + "promote/", rounds.Promote.as_view()),
    path(ROUND + "drop/", rounds.Drop.as_view()),
    path(ROUND + "simulate/", rounds.Simulate.as_view()),
    path(ROUND + "pairs/", rounds.Pairs.as_view()),
    path(ROUND + "events/", events.round_events),
    path(PROJECT + "runs/", runs.Runs.as_view()),
    path(RUN, runs.RunDetail.as_view()),
    path(RUN + "metrics/", runs.Metrics.as_view()),
    path(RUN + "samples/", runs.Samples.as_view()),
    path(RUN + "log/", runs.Log.as_view()),
    path(RUN + "cancel/", runs.CancelRun.as_view()),
    path(RUN + "retry/", runs.RetryRun.as_view()),
    path(RUN + "events/", events.run_events),
    path(PROJECT + "snapshots/", snapshots.Snapshots.as_view()),
    path(SNAPSHOT, snapshots.SnapshotDetail.as_view()),
    path(SNAPSHOT + "export/", snapshots.SnapshotExport.as_view()),
]
