"""One factory a table of accounts and inference, valid by default; the other apps' stand in their own test folders."""

from __future__ import annotations

import hashlib
from datetime import timedelta
from pathlib import Path
from typing import Any

import factory
from django.utils.timezone import now

from accounts.models import ApiToken, Event, Membership, Project, SignInLink, User
from inference.engine.config import SamplingParams
from inference.models import Completion, ModelVersion, SampleRequest, SamplingJob, VersionKind, VersionParent
from inference.services import register_version, request_samples


class UserFactory(factory.django.DjangoModelFactory[User]):
    class Meta:
        model = User

    username = factory.Sequence(lambda n: f"person-{n}")
    display_name = factory.Sequence(lambda n: f"Person {n}")
    password = "!"


class ProjectFactory(factory.django.DjangoModelFactory[Project]):
    class Meta:
        model = Project

    name = factory.Sequence(lambda n: f"Project {n}")
    salt = factory.Sequence(lambda n: hashlib.sha256(str(n).encode()).digest())


class MembershipFactory(factory.django.DjangoModelFactory[Membership]):
    class Meta:
        model = Membership

    project = factory.SubFactory(ProjectFactory)
    user = factory.SubFactory(UserFactory)
    role = "labeler"


class SignInLinkFactory(factory.django.DjangoModelFactory[SignInLink]):
    class Meta:
        model = SignInLink

    user = factory.SubFactory(UserFactory)
    secret_sha256 = factory.Sequence(lambda n: hashlib.sha256(f"link {n}".encode()).hexdigest())
    expires_at = factory.LazyFunction(lambda: now() + timedelta(hours=1))


class ApiTokenFactory(factory.django.DjangoModelFactory[ApiToken]):
    class Meta:
        model = ApiToken

    user = factory.SubFactory(UserFactory)
    name = "script"
    prefix = factory.Sequence(lambda n: f"{n:08x}")
    secret_sha256 = factory.Sequence(lambda n: hashlib.sha256(f"token {n}".encode()).hexdigest())
    scopes = ["read"]


class EventFactory(factory.django.DjangoModelFactory[Event]):
    class Meta:
        model = Event

    kind = "project.created"
    subject = factory.Sequence(lambda n: f"project:{n}")


class VersionFactory(factory.django.DjangoModelFactory[ModelVersion]):
    """A row without a folder; `sampled_version` below registers one with weights."""

    class Meta:
        model = ModelVersion

    project = factory.SubFactory(ProjectFactory)
    name = factory.Sequence(lambda n: f"version-{n}")
    kind = VersionKind.POLICY
    digest = factory.Sequence(lambda n: hashlib.sha256(f"version {n}".encode()).hexdigest())


class VersionParentFactory(factory.django.DjangoModelFactory[VersionParent]):
    class Meta:
        model = VersionParent

    child = factory.SubFactory(VersionFactory)
    parent = factory.SubFactory(VersionFactory, project=factory.SelfAttribute("..child.project"))
    role = "model"


class SamplingJobFactory(factory.django.DjangoModelFactory[SamplingJob]):
    class Meta:
        model = SamplingJob

    version = factory.SubFactory(VersionFactory)
    project = factory.SelfAttribute("version.project")
    params = factory.LazyFunction(lambda: SamplingParams(max_tokens=8).to_json())
    wanted = 2


class SampleRequestFactory(factory.django.DjangoModelFactory[SampleRequest]):
    class Meta:
        model = SampleRequest

    job = factory.SubFactory(SamplingJobFactory)
    key = factory.Sequence(lambda n: hashlib.sha256(f"prompt {n}".encode()).hexdigest())
    messages = [{"role": "user", "content": "Write to your aunt."}]
    n = 2


class CompletionFactory(factory.django.DjangoModelFactory[Completion]):
    class Meta:
        model = Completion

    request = factory.SubFactory(SampleRequestFactory)
    version = factory.SelfAttribute("request.job.version")
    text = factory.Sequence(lambda n: f"Dear aunt, {n} kisses.")
    token_ids = [5, 6]
    logprobs = [-0.5, -0.25]
    seed = 0
    finish_reason = "stop"
    candidate = factory.Sequence(lambda n: n % 128)


def model_folder(folder: Path, *, seed: int = 0, **shape: Any) -> Path:
    """A random model of about 100 thousand weights, whole with tokenizer and chat template."""
    from inference.engine.random_policy import random_policy  # Torch: only where a test needs a model.

    random_policy(folder, seed=seed, **shape)
    return folder


def version_with_weights(
    project: Project, folder: Path, *, name: str = "random", seed: int = 0
) -> ModelVersion:
    """A base version that can be sampled from."""
    kind = VersionKind.BASE
    return register_version(project=project, kind=kind, folder=model_folder(folder, seed=seed), name=name)


def sampling_job(version: ModelVersion, *, prompts: int = 3, n: int = 4, **params: Any) -> SamplingJob:
    """A queued job; prompt i asks for something of length i."""
    texts = [f"Write a letter to {'my dear ' * (i % 7)}friend number {i}." for i in range(prompts)]
    return request_samples(
        project=version.project,
        version=version,
        prompts=[
            (hashlib.sha256(t.encode()).hexdigest(), [{"role": "user", "content": t}], n) for t in texts
        ],
        params=SamplingParams(**{"max_tokens": 12, **params}),
        seed=7,
    )
