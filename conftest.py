"""Settings of the property tests."""

from __future__ import annotations

import os

from hypothesis import Phase, settings

# For tests/test_mutants.py: a broken package has only to be caught, the smallest example is not wanted.
settings.register_profile("catch", phases=[Phase.explicit, Phase.generate])
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "default"))
