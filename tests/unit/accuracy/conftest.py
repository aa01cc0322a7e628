"""The makers of records whose law is known, and a subject that is driven in virtual time."""

from tests.unit.fit.conftest import calibrate, make_bench, make_overhead, make_run, make_scenario, make_spec, server

__all__ = ["calibrate", "make_bench", "make_overhead", "make_run", "make_scenario", "make_spec", "server"]
