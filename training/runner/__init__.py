"""Supervises `python -m training.core` as a child process. Imports no torch."""

from training.runner.supervisor import execute

__all__ = ["execute"]
