"""CIFAR-10, MNIST and Fashion-MNIST: read and downloaded by torchvision, handed out as `Data`."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch

from metautil.datasets.sources import DamagedData, NotThere, damaged, fetch, not_there, place
from metautil.tasks import Data

PARTS = ("training", "test")


def cifar10(folder: str | os.PathLike | None = None, part: str = "training", download: bool = False) -> Data:
    """CIFAR-10: 60,000 colour photographs of ten kinds of things, 32 by 32 (Krizhevsky 2009).

    Parameters
    ----------
    folder : path, optional
        The folder that holds ``cifar-10-batches-py``; `data_root()` if not given.
    part : str
        "training" (50,000 images) or "test" (10,000).
    download : bool
        Whether to fetch what is missing or damaged. What is there and right is not fetched again.

    Returns
    -------
    Data
        x: shape (N, 3, 32, 32), in [0, 1], torch's default dtype (64-bit numbers take 1.2 GB for the training part).
        y: int64, shape (N,), 0..9 for airplane, automobile, bird, cat, deer, dog, frog, horse, ship, truck.

    Raises
    ------
    NotThere
        If a file is not there and ``download`` is False.
    DamagedData
        If a file is not the original one, by its MD5 sum.
    DownloadFailed
        If the download breaks off or cannot be written. The next call begins anew.
    ValueError
        If there is no such part.
    """
    from torchvision.datasets import CIFAR10  # slow to import, so only where it is used

    return _load("cifar10", CIFAR10, CIFAR10.base_folder, folder, part, download)


def mnist(folder: str | os.PathLike | None = None, part: str = "training", download: bool = False) -> Data:
    """MNIST: 70,000 handwritten digits, 28 by 28 (LeCun, Bottou, Bengio & Haffner 1998).

    Parameters, errors and result are those of `cifar10`. The files are the four of ``MNIST/raw``, unpacked; the training
    part has 60,000 images, the test part 10,000; x has shape (N, 1, 28, 28), ink 1 on paper 0.
    """
    from torchvision.datasets import MNIST

    return _load("mnist", MNIST, "MNIST/raw", folder, part, download)


def fashion_mnist(folder: str | os.PathLike | None = None, part: str = "training", download: bool = False) -> Data:
    """Fashion-MNIST: 70,000 pieces of clothing in the format of MNIST (Xiao, Rasul & Vollgraf 2017).

    Parameters, errors and result are those of `mnist`; the files are the four of ``FashionMNIST/raw``. The classes are
    T-shirt, trouser, pullover, dress, coat, sandal, shirt, sneaker, bag, ankle boot.
    """
    from torchvision.datasets import FashionMNIST

    return _load("fashion_mnist", FashionMNIST, "FashionMNIST/raw", folder, part, download)


def _load(name: str, kind: Any, below: str, folder: str | os.PathLike | None, part: str, download: bool) -> Data:
    """One part of a torchvision data set ``kind``, whose files lie ``below`` the folder for data sets."""
    if part not in PARTS:
        raise ValueError(f"part = {part!r}; {name} has the parts {', '.join(map(repr, PARTS))}.")
    root, check = place(folder), _check_pickles if name == "cifar10" else _check_idx
    try:
        check(name, kind, root, below)
    except (NotThere, DamagedData):
        if not download:
            raise
        fetch(name, root, below, lambda temporary: kind(temporary, download=True))
        check(name, kind, root, below)
    loaded = kind(root, train=part == "training")
    x = torch.as_tensor(loaded.data)
    x = x.permute(0, 3, 1, 2) if x.ndim == 4 else x[:, None]
    real = torch.empty(x.shape, dtype=torch.get_default_dtype()).copy_(x).div_(255)  # contiguous
    return Data(real, torch.as_tensor(loaded.targets, dtype=torch.int64))


def _files(name: str, root: Path, below: str, names: list[str]) -> Iterator[Path]:
    """The files, each of which must be there."""
    for file in names:
        if not (root / below / file).is_file():
            raise not_there(name, root, f"{below}/{file}")
        yield root / below / file


def _check_pickles(name: str, kind: Any, root: Path, below: str) -> None:
    """Raise NotThere or DamagedData for the first file that is missing or has another MD5 sum than torchvision knows."""
    from torchvision.datasets.utils import check_integrity

    known = dict([*kind.train_list, *kind.test_list, (kind.meta["filename"], kind.meta["md5"])])
    for path in _files(name, root, below, list(known)):
        if not check_integrity(path, known[path.name]):
            raise damaged(name, path, "is not the original file (its MD5 sum is another)")


def _check_idx(name: str, kind: Any, root: Path, below: str) -> None:
    """Raise NotThere or DamagedData for the first file that is missing, cut short, or of something else.

    torchvision knows the MD5 sums of the packed files only.
    """
    from torchvision.datasets.mnist import read_sn3_pascalvincent_tensor as read

    for path in _files(name, root, below, [file.removesuffix(".gz") for file, _ in kind.resources]):
        axes = 3 if "idx3" in path.name else 1
        try:
            values = read(path)
        except Exception:  # what it says of a broken file depends on where it is broken
            values = torch.empty(0)
        if values.ndim != axes or values.dtype != torch.uint8:
            raise damaged(name, path, f"is not a whole idx file of {axes} {'axes' if axes > 1 else 'axis'}")
        if axes == 3:
            images = len(values)
        elif len(values) != images:  # images come first, then their labels
            raise damaged(name, path, f"has {len(values)} labels beside {images} images")
