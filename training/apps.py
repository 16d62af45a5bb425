from django.apps import AppConfig


class TrainingConfig(AppConfig):
    name = "training"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        """Say what this app knows about projects and versions."""
        from accounts.facts import contribute
        from inference.selectors import extend_lineage
        from training.selectors import lineage

        contribute("project", "round", lineage.live_rounds)
        contribute("version", "made_by", lineage.made_by)
        contribute("version", "round", lineage.round_numbers)
        extend_lineage("training", lineage.between_versions)
