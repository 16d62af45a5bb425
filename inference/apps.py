from django.apps import AppConfig


class InferenceConfig(AppConfig):
    name = "inference"

    def ready(self) -> None:
        """Say what this app knows about projects."""
        from accounts.facts import contribute
        from inference.selectors import count_versions, current_policies

        contribute("project", "versions", count_versions)
        contribute("project", "current_policy", current_policies)
