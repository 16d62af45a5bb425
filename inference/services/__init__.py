"""The only writers of model versions, sampling jobs and completions."""

from inference.services.bases import (
    BaseModel,
    StoredBase,
    add_base_model,
    base_models,
    register_base_model,
    store_base_model,
)
from inference.services.external import add_external_completions, register_external
from inference.services.jobs import cancel_job, reap_sampling_jobs, request_samples
from inference.services.promotion import drop, promote
from inference.services.registry import register_version, store_version

__all__ = [
    "BaseModel",
    "StoredBase",
    "add_base_model",
    "add_external_completions",
    "base_models",
    "cancel_job",
    "drop",
    "promote",
    "reap_sampling_jobs",
    "register_base_model",
    "register_external",
    "register_version",
    "request_samples",
    "store_base_model",
    "store_version",
]
