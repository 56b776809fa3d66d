"""No test is timed: property tests run without a deadline, on a loaded machine too.

HYPOTHESIS_PROFILE=prove tries thirty times as many examples.
"""

import os

from hypothesis import HealthCheck, settings

settings.register_profile("untimed", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("prove", parent=settings.get_profile("untimed"), max_examples=3_000)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "untimed"))
