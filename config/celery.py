"""The Celery app. A message is a doorbell that carries ids; what is due stands in the database."""

import os

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")

from celery import Celery
from django.conf import settings

from config.databases import broker_of

IN_WORKER = os.environ.get("PRECEPTOR_ROLE") == "worker"

app = Celery("preceptor")
app.conf.update(
    broker_url=broker_of(settings.PRECEPTOR_REDIS_URL),
    broker_connection_retry_on_startup=True,
    # Whoever sends must never hang on a dead broker: about a second, then the control loop's sweep takes over.
    broker_transport_options={
        "visibility_timeout": 3600,
        "socket_connect_timeout": 1,
        "socket_timeout": 30 if IN_WORKER else 1,
        "health_check_interval": 25,
        **(
            {}
            if IN_WORKER
            else {"max_retries": 1, "interval_start": 0, "interval_step": 0.1, "interval_max": 0.1}
        ),
    },
    task_serializer="json",
    accept_content=["json"],
    task_ignore_result=True,
    result_backend=None,
    # Early acknowledgement: a run outlives every visibility timeout, and lost work is found by its heartbeat.
    task_acks_late=False,
    task_reject_on_worker_lost=False,
    worker_prefetch_multiplier=1,
    worker_disable_prefetch=True,
    task_default_queue="control",
    task_create_missing_queues=True,
    task_routes={
        "inference.*": {"queue": "sample"},
        "training.execute_run": {"queue": "train"},
        "*": {"queue": "control"},
    },
    task_publish_retry=False,
    worker_hijack_root_logger=False,
    worker_redirect_stdouts=False,
    worker_send_task_events=False,
    worker_soft_shutdown_timeout=5.0,
    task_track_started=False,
    timezone="UTC",
)
app.autodiscover_tasks(["accounts", "inference", "labeling", "training"])
