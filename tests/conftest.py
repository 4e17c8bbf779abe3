"""Settings of the whole test run."""

from hypothesis import HealthCheck, settings

# Timings belong in benchmarks/, not in pass or fail: a busy machine must not fail a property.
settings.register_profile("charter", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("charter")
