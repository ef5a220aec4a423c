"""Real handwriting in small: the scans behind scikit-learn's ``load_digits``."""

from __future__ import annotations

from pathlib import Path

import torch

from metautil.tasks import Data


def digits(folder: str | Path | None = None) -> Data:
    """1,797 handwritten digits, scanned and reduced to 8 by 8 (UCI, Alpaydin & Kaynak 1998, the test part).

    Each scan was brought to a bitmap of 32 by 32; a number is the count of ink pixels in a block of 4 by 4,
    divided by 16. The data set is part of scikit-learn: nothing is downloaded.

    Parameters
    ----------
    folder : path, optional
        Not used. Every data set of the course takes it, so that one can stand for another.

    Returns
    -------
    Data
        x: shape (1797, 1, 8, 8), multiples of 1/16 in [0, 1], torch's default dtype. y: int64, shape (1797,).
    """
    from sklearn.datasets import load_digits  # slow to import, so only where it is used

    scans = load_digits()
    x = torch.as_tensor(scans.images, dtype=torch.get_default_dtype())[:, None] / 16
    return Data(x, torch.as_tensor(scans.target, dtype=torch.int64))
