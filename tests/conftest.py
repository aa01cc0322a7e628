"""What holds for every test: none is held to a time, for machines are noisy (Hypothesis gives an example 200 ms)."""

from hypothesis import HealthCheck, settings

settings.register_profile("untimed", settings(), deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("untimed")
