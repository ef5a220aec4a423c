"""How fast few-shot tasks are drawn, and what loading their characters costs: episodes a second, seconds, memory.

An episode is a 5-way 1-shot task with 15 queries a class, images of 28 by 28 as 32-bit numbers, drawn a hundred at a time
on two threads. Loading is measured in fresh processes: cold, when the cache file is made, and warm, when it is read. A seed
decides which tasks are drawn, and counts repetitions of the rest. Linux only (it reads ``/proc``).
"""

from __future__ import annotations

import os
import statistics
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import torch

from metautil.datasets import font_alphabets, omniglot
from metautil.tasks import few_shot_tasks

DATA = {"font alphabets": font_alphabets, "Omniglot": omniglot}
CASES = dict.fromkeys(DATA, 3)
WAYS, SHOTS, QUERIES = 5, 1, 15
BATCH, BATCHES, ROUNDS = 100, 5, 30
THREADS = 2


def peak() -> float:
    """Most memory that this process has held so far, MB. (`resource` would count the parent's too.)"""
    status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    return int(status["VmHWM"].split()[0]) / 1024


def load(case: str, cache: str) -> dict[str, float]:
    """Load the data set of a case: seconds, peak memory, and peak memory before that (Python, torch and the rest)."""
    os.environ["METAUTIL_CACHE"] = cache
    before, start = peak(), time.perf_counter()
    DATA[case]()
    return {"seconds": time.perf_counter() - start, "memory": peak(), "before": before}


def draw(case: str, seed: int, cache: str) -> float:
    """Episodes a second: the median of many rounds. Measure on a machine that does nothing else."""
    os.environ["METAUTIL_CACHE"] = cache
    torch.set_num_threads(THREADS)
    family, generator = few_shot_tasks(DATA[case](), WAYS, SHOTS, QUERIES), torch.Generator().manual_seed(seed)
    speeds = []
    for _ in range(ROUNDS):
        start = time.perf_counter()
        for _ in range(BATCHES):
            family(BATCH, generator)
        speeds.append(BATCHES * BATCH / (time.perf_counter() - start))
    return statistics.median(speeds)


def alone(function: Callable[..., Any], *arguments: Any) -> Any:
    """What ``function`` returns in a fresh process; its errors come through."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        return pool.submit(function, *arguments).result()


def measure(case: str, seed: int) -> dict[str, tuple[float, str]]:
    """One seed of one case. Raises `metautil.datasets.NotThere` where the data set is not there."""
    with tempfile.TemporaryDirectory() as cache:
        cold, warm = alone(load, case, cache), alone(load, case, cache)
        return {
            "episodes": (alone(draw, case, seed, cache), "1/s"),
            "cold": (cold["seconds"], "s"),
            "warm": (warm["seconds"], "s"),
            "memory": (max(cold["memory"], warm["memory"]), "MB"),
            "memory_before": (cold["before"], "MB"),
        }
