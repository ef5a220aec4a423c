"""What the tests of several lessons use."""

from __future__ import annotations

import warnings
from collections.abc import Iterator

import matplotlib
import pytest
import torch

import metautil


@pytest.fixture
def settled() -> Iterator[None]:
    """A lesson's number type and its figures' style; afterwards all is as it was."""
    before = torch.get_default_dtype(), torch.get_num_threads()
    with matplotlib.rc_context(), warnings.catch_warnings():
        metautil.begin(seed=0)
        yield
    torch.set_default_dtype(before[0])
    torch.set_num_threads(before[1])
