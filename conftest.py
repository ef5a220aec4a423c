"""Settings of the property tests, and the order of the test files."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import matplotlib
import pytest
import torch
from hypothesis import Phase, settings

FOLDERS = [f"lessons.{folder.name}" for folder in sorted(Path(__file__).parent.glob("lessons/lesson_*"))]

# The same examples in every run: a failure is one of the code, not of the draw, and can be run again.
settings.register_profile("same", derandomize=True, deadline=None)
# For tests/test_mutants.py: a broken package has only to be caught, the smallest example is not wanted.
settings.register_profile("catch", settings.get_profile("same"), phases=[Phase.explicit, Phase.generate])
# Formulas and answers are imported by tests; their assertions are to say what differs, as those of tests do.
pytest.register_assert_rewrite(
    "lessons.shared.formulas", *(f"{folder}.{name}" for folder in FOLDERS for name in ("formulas", "answers"))
)

# For `make proof`: new examples each time, and many.
settings.register_profile("long", settings.get_profile("same"), derandomize=False, max_examples=5000)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "same"))

LONGEST = ("test_browser.py", "test_sweeps.py", "test_order.py", "test_mutants.py")
"""Files that take minutes. One begun last would run on one processor while the others have nothing left to do."""


@pytest.fixture(scope="module", autouse=True)
def as_before() -> Iterator[None]:
    """What `metautil.begin` settles for a lesson does not outlast the file that called it."""
    dtype, threads = torch.get_default_dtype(), torch.get_num_threads()
    with matplotlib.rc_context():
        yield
    torch.set_default_dtype(dtype)
    torch.set_num_threads(threads)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Notebooks are compared with bars as `tools.build` has saved them; all else sees the usual bars."""
    os.environ.pop("TQDM_BAR_FORMAT", None)
    if item.path.suffix == ".ipynb":
        from tools.course import SAVED_BARS

        os.environ.update(SAVED_BARS)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The longest files first, then the notebooks, then all others: so the processors end at about the same time.

    The tests of a lesson are slow ones: they run its cells.
    """
    for item in items:
        if item.path.parent.name.startswith("lesson_"):
            item.add_marker("slow")

    def rank(item: pytest.Item) -> int:
        if item.path.name in LONGEST:
            return LONGEST.index(item.path.name)
        return len(LONGEST) + (item.path.suffix != ".ipynb")

    items.sort(key=rank)
