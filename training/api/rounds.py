"""Rounds: what a launch needs, open, look, and every decision of an admin."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar
from uuid import UUID

from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers, status
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts.access import project_for
from accounts.models import Role, User
from common.api import StrictSerializer, fingerprint, idempotency_key
from common.celery import enqueue
from common.errors import DomainError, NotFound
from training.access import round_for
from training.api.serializers import PairOut, RecipeDefaultsOut, RecipeEstimateOut, RoundOut
from training.models import Round
from training.recipe import Recipe
from training.selectors.defaults import default_recipe, recipe_defaults
from training.selectors.estimate import estimate
from training.selectors.evaluation import pairs_of
from training.selectors.readiness import missing
from training.selectors.rounds import BATCHES, round_body, rounds_visible_to
from training.services import rounds

KEY = OpenApiParameter(
    "Idempotency-Key", str, OpenApiParameter.HEADER, description="8 to 200 visible ASCII characters"
)


class NotADemo(DomainError):
    """Simulated labelers answer in demo projects only."""

    code = "not_a_demo"
    message = "Simulated labelers work in demo projects only. In this project people answer."


class NothingToSimulate(DomainError):
    """The present step waits for no labeler."""

    code = "nothing_to_simulate"
    message = "The present step waits for no labeler."


class RoundIn(StrictSerializer):
    recipe = serializers.DictField(required=False, help_text="Left out: the project's defaults")
    automatic = serializers.BooleanField(required=False, default=False)


class RecipeIn(StrictSerializer):
    recipe = serializers.DictField()


class RoundPatch(StrictSerializer):
    automatic = serializers.BooleanField()


class NoteIn(StrictSerializer):
    note = serializers.CharField(max_length=200, required=False, allow_blank=True, default="")


def render(round_: Round) -> dict[str, Any]:
    """The body of a round that was loaded by `rounds_visible_to`."""
    return dict(RoundOut(round_body(round_)).data)


def shown(user: Any, round_id: UUID) -> dict[str, Any]:
    """The body of a round, read again. Raises NotFound."""
    found = rounds_visible_to(user).filter(pk=round_id).first()
    if found is None:
        raise NotFound
    return render(found)


class RecipeDefaults(APIView):
    """What the launch form begins with."""

    @extend_schema(operation_id="get_recipe_defaults", responses=RecipeDefaultsOut)
    def get(self, request: Request, project_id: UUID) -> Response:
        """A recipe that fits the project, every field with its range, the time it takes, and what is missing (admins)."""
        project = project_for(request.user, project_id, at_least=Role.ADMIN)
        return Response(RecipeDefaultsOut(recipe_defaults(project)).data)


class Estimate(APIView):
    """What a recipe would cost."""

    scopes: ClassVar = {"POST": "runs:launch"}

    @extend_schema(operation_id="estimate_round", request=RecipeIn, responses=RecipeEstimateOut)
    def post(self, request: Request, project_id: UUID) -> Response:
        """Machine time by step with its basis, and what is missing (admins). Writes nothing."""
        project = project_for(request.user, project_id, at_least=Role.ADMIN)
        recipe = Recipe.parse(RecipeIn.parse(request.data)["recipe"])
        body = {"estimate": estimate(project, recipe), "missing": missing(project, recipe)}
        return Response(RecipeEstimateOut(body).data)


class Rounds(APIView):
    """The rounds of a project."""

    scopes: ClassVar = {"POST": "runs:launch"}

    @extend_schema(operation_id="list_rounds", responses=RoundOut(many=True))
    def get(self, request: Request, project_id: UUID) -> Response:
        """Newest first (reviewers and admins)."""
        project = project_for(request.user, project_id, at_least=Role.REVIEWER)
        found = rounds_visible_to(request.user).filter(project=project)[:100]
        return Response([render(round_) for round_ in found])

    @extend_schema(operation_id="open_round", request=RoundIn, responses={201: RoundOut}, parameters=[KEY])
    def post(self, request: Request, project_id: UUID) -> Response:
        """Open a round (admins). The same Idempotency-Key again gives the same round."""
        project = project_for(request.user, project_id, at_least=Role.ADMIN)
        body = RoundIn.parse(request.data or {})
        recipe = Recipe.parse(body["recipe"]) if "recipe" in body else default_recipe(project)
        opened = rounds.open_round(
            project=project,
            recipe=recipe,
            automatic=body["automatic"],
            actor=_person(request),
            idempotency_key=idempotency_key(request) or "",
            body_sha256=fingerprint(body),
        )
        return Response(shown(request.user, opened.pk), status=status.HTTP_201_CREATED)


class RoundDetail(APIView):
    """One round."""

    scopes: ClassVar = {"PATCH": "runs:launch"}

    @extend_schema(operation_id="get_round", responses=RoundOut)
    def get(self, request: Request, round_id: UUID) -> Response:
        """Its state, steps, versions and measurements (reviewers and admins)."""
        return Response(shown(request.user, round_for(request.user, round_id).pk))

    @extend_schema(operation_id="change_round", request=RoundPatch, responses=RoundOut)
    def patch(self, request: Request, round_id: UUID) -> Response:
        """Let it run by itself, or confirm each step (admins)."""
        round_ = round_for(request.user, round_id, at_least=Role.ADMIN)
        body = RoundPatch.parse(request.data)
        rounds.set_automatic(round=round_, automatic=body["automatic"], actor=_person(request))
        return Response(shown(request.user, round_id))


class Decision(APIView):
    """Base of what an admin decides about a round."""

    act: Callable[..., Round]

    def decide(self, request: Request, round_id: UUID) -> Response:
        """Parse the note, act, render."""
        round_ = round_for(request.user, round_id, at_least=Role.ADMIN)
        body = NoteIn.parse(request.data or {})
        type(self).act(round=round_, actor=_person(request), note=body["note"])
        return Response(shown(request.user, round_id))


class Advance(Decision):
    """The next step."""

    scopes: ClassVar = {"POST": "runs:launch"}
    act = staticmethod(rounds.advance)

    @extend_schema(operation_id="advance_round", request=NoteIn, responses=RoundOut)
    def post(self, request: Request, round_id: UUID) -> Response:
        """Go on: the step is done, or people have answered enough for you (admins)."""
        return self.decide(request, round_id)


class Cancel(Decision):
    """The end without a decision."""

    scopes: ClassVar = {"POST": "runs:launch"}
    act = staticmethod(rounds.cancel)

    @extend_schema(operation_id="cancel_round", request=NoteIn, responses=RoundOut)
    def post(self, request: Request, round_id: UUID) -> Response:
        """Stop the round, its runs, jobs and batches; answers stay (admins)."""
        return self.decide(request, round_id)


class Retry(Decision):
    """Another try of the step that failed."""

    scopes: ClassVar = {"POST": "runs:launch"}
    act = staticmethod(rounds.retry)

    @extend_schema(operation_id="retry_round", request=NoteIn, responses=RoundOut)
    def post(self, request: Request, round_id: UUID) -> Response:
        """Do the failed step over; a run goes on from its last good checkpoint (admins)."""
        return self.decide(request, round_id)


class Promote(Decision):
    """The candidate becomes the policy."""

    scopes: ClassVar = {"POST": "models:promote"}
    act = staticmethod(rounds.promote)

    @extend_schema(operation_id="promote_round", request=NoteIn, responses=RoundOut)
    def post(self, request: Request, round_id: UUID) -> Response:
        """The next round samples from the candidate (admins)."""
        return self.decide(request, round_id)


class Drop(Decision):
    """The candidate is refused."""

    scopes: ClassVar = {"POST": "models:promote"}
    act = staticmethod(rounds.drop)

    @extend_schema(operation_id="drop_round", request=NoteIn, responses=RoundOut)
    def post(self, request: Request, round_id: UUID) -> Response:
        """The current policy stays (admins)."""
        return self.decide(request, round_id)


class Simulate(APIView):
    """Simulated labelers, in demo projects."""

    scopes: ClassVar = {"POST": "runs:launch"}

    @extend_schema(operation_id="simulate_round", request=NoteIn, responses={202: RoundOut})
    def post(self, request: Request, round_id: UUID) -> Response:
        """Simulated labelers finish the present step in the background; their answers are marked synthetic (admins).

        They leave alone what people hold: the step's `held` says how many tasks, and until when.
        """
        round_ = round_for(request.user, round_id, at_least=Role.ADMIN)
        NoteIn.parse(request.data or {})
        if not round_.project.is_demo:
            raise NotADemo
        if round_.state not in BATCHES or getattr(round_, BATCHES[round_.state]) is None:  # type: ignore[index]  # a str key
            raise NothingToSimulate
        enqueue("training.simulate_step", round_.pk)
        return Response(shown(request.user, round_id), status=status.HTTP_202_ACCEPTED)


class Pairs(APIView):
    """Candidate and current policy side by side."""

    @extend_schema(operation_id="list_round_pairs", responses=PairOut(many=True))
    def get(self, request: Request, round_id: UUID) -> Response:
        """Both answers to each prompt with their rewards; not blind, so for reviewers and admins."""
        round_for(request.user, round_id)
        round_ = rounds_visible_to(request.user).get(pk=round_id)
        rows = [
            {
                "prompt": {"messages": pair.messages},
                "candidate": {"text": pair.candidate.text, "reward": _reward(pair.candidate_score)},
                "current": {"text": pair.current.text, "reward": _reward(pair.current_score)},
                "kl": pair.candidate_score.kl if pair.candidate_score else None,
            }
            for pair in pairs_of(round_)
        ]
        return Response(PairOut(rows, many=True).data)


def _reward(score: Any) -> float | None:
    return score.reward if score is not None else None


def _person(request: Request) -> User:
    assert isinstance(request.user, User)  # noqa: S101 - project_for and round_for let nobody else through
    return request.user
