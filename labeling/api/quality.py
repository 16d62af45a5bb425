"""Quality: who did how much, and agreement."""

from __future__ import annotations

from uuid import UUID

from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts.access import project_for
from labeling.api import outputs
from labeling.selectors import quality


class ProjectQuality(APIView):
    """The quality page."""

    @extend_schema(responses=outputs.QualitySerializer, operation_id="get_quality")
    def get(self, request: Request, project_id: UUID) -> Response:
        """Everybody's work and agreement (reviewers and admins); labelers get their own row alone."""
        return Response(quality(project_for(request.user, project_id), request.user))
