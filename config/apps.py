from django.apps import AppConfig


class ConfigConfig(AppConfig):
    """Loads the Celery app with Django, so that `enqueue` has a broker in every process."""

    name = "config"

    def ready(self) -> None:
        """Import for its effect: the app becomes Celery's current one."""
        import config.celery  # noqa: F401
