"""Settings of the property tests."""

from __future__ import annotations

import os

from hypothesis import Phase, settings

# The same examples in every run: a failure is one of the code, not of the draw, and can be run again.
settings.register_profile("same", derandomize=True, deadline=None)
# For tests/test_mutants.py: a broken package has only to be caught, the smallest example is not wanted.
settings.register_profile("catch", settings.get_profile("same"), phases=[Phase.explicit, Phase.generate])
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "same"))
