"""What we are measured against, each in an environment of its own: see docs/develop/benchmarks.md."""
