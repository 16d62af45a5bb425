"""The chain of versions: from which base a version stems, and which SFT model its distance is measured from."""

from __future__ import annotations

from accounts.models import Project
from inference.models import ModelVersion, VersionKind
from training.models import Round
from training.recipe import Recipe

LONGEST = 200


def parent_of(version: ModelVersion, role: str) -> ModelVersion | None:
    """The version that played `role` when this one was made."""
    link = version.parent_links.filter(role=role).select_related("parent").first()
    return link.parent if link else None


def base_of(version: ModelVersion) -> ModelVersion:
    """The model at the root of the chain: SFT starts from it again."""
    for _ in range(LONGEST):
        parent = parent_of(version, "model")
        if parent is None:
            break
        version = parent
    return version


def chain_sft(version: ModelVersion) -> ModelVersion:
    """The chain's SFT model, the reference of every PPO run of it; a chain without SFT is measured from its base."""
    for _ in range(LONGEST):
        if version.kind != VersionKind.POLICY:
            break
        parent = parent_of(version, "reference") or parent_of(version, "model")
        if parent is None:
            break
        version = parent
    return version


def earlier_reward(project: Project, model: ModelVersion) -> ModelVersion | None:
    """The reward model of the project's newest round that has one which reads the tokens of `model`."""
    found = Round.objects.filter(project=project, reward__tokenizer_digest=model.tokenizer_digest)
    newest = found.exclude(reward__tokenizer_digest="").select_related("reward").order_by("-number").first()
    return newest.reward if newest else None


def judge_of(project: Project, recipe: Recipe) -> ModelVersion | None:
    """The reward model that the recipe names as judge; None where it names none, or none of this project."""
    if recipe.judge is None:
        return None
    return ModelVersion.objects.filter(project=project, kind=VersionKind.REWARD, pk=recipe.judge).first()
