"""What every table of labeling has in common."""

from __future__ import annotations

from django.db import models


class Row(models.Model):
    """A row that people name by its table and key only: the texts in it are no names."""

    class Meta:
        abstract = True

    def __str__(self) -> str:
        return f"{self._meta.verbose_name} {self.pk}"
