"""Hypothesis for the study's tests: no deadlines (speed is for benchmarks), the same examples each run."""

from hypothesis import HealthCheck, settings

settings.register_profile(
    "study",
    deadline=None,
    derandomize=True,
    database=None,
    max_examples=40,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("study")
