"""Addresses of people and projects, below /api/v1/."""

from __future__ import annotations

from django.urls import path

from accounts.api import me, members, projects, sign_in

urlpatterns = [
    path("me/", me.Me.as_view()),
    path("tokens/", me.Tokens.as_view()),
    path("tokens/<uuid:token_id>/", me.Token.as_view()),
    path("auth/csrf/", sign_in.Csrf.as_view()),
    path("auth/sign-in/", sign_in.SignIn.as_view()),
    path("auth/sign-out/", sign_in.SignOut.as_view()),
    path("projects/<uuid:project_id>/", projects.ProjectDetail.as_view()),
    path("projects/<uuid:project_id>/events/", projects.Events.as_view()),
    path("projects/<uuid:project_id>/members/", members.Members.as_view()),
    path("projects/<uuid:project_id>/members/<uuid:user_id>/", members.Member.as_view()),
    path("projects/<uuid:project_id>/members/<uuid:user_id>/link/", members.MemberLink.as_view()),
]
