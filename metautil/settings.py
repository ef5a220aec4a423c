"""What every lesson settles in its first cell: number type, threads, random numbers, figure style."""

from __future__ import annotations

import os
import warnings

import matplotlib
import torch

FIGURE_STYLE = {
    "figure.dpi": 100,
    "savefig.dpi": 100,
    "figure.constrained_layout.use": True,
    "font.family": "DejaVu Sans",
    "font.size": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.alpha": 0.25,
    "legend.frameon": False,
    "lines.linewidth": 2,
}


def begin(seed: int) -> torch.Generator:
    """Settle what a lesson's numbers depend on, and return its source of random numbers.

    Three settings hold for the rest of the notebook:

    - Real numbers have 64 bits. Rounding errors then stay near 1e-16, so two machines that add in another
      order still print the same digits.
    - One thread, unless the environment variable METAUTIL_THREADS says otherwise. The course's tensors are small;
      handing them to a second core costs more than it saves.
    - Figures share one style.

    Parameters
    ----------
    seed : int
        Seed of the returned generator; each lesson has its own.

    Returns
    -------
    torch.Generator
        Pass it on explicitly to whatever draws random numbers. No global seed is set.
    """
    torch.set_default_dtype(torch.float64)
    torch.set_num_threads(int(os.environ.get("METAUTIL_THREADS", "1")))
    matplotlib.rcParams.update(FIGURE_STYLE)
    # torch's own jvp calls what torch itself has deprecated (2.15); a learner can do nothing about it.
    warnings.filterwarnings("ignore", message=r".*torch\.jit\.script", category=FutureWarning)
    return torch.Generator().manual_seed(seed)
