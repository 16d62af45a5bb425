"""Reads of labeling. Whoever stands above (rounds, snapshots) finds here what it needs."""
