from django.apps import AppConfig


class LabelingConfig(AppConfig):
    name = "labeling"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        """Say what this app knows about projects."""
        from accounts.facts import contribute
        from labeling.selectors import progress

        contribute("project", "prompts", progress.prompts_by_project)
        contribute("project", "open_tasks", progress.open_tasks_by_project)
        contribute("project", "rankings", progress.rankings_by_project)
        contribute("project", "demonstrations", progress.demonstrations_by_project)
