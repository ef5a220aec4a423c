"""Notebooks under rounding noise: ``python -m tools.noise [--seeds 3] [notebook ...]``.

Two machines that add in another order differ in the last digit. Here every number that torch draws is off by about that much,
another way for each seed, and strict nbval compares what the notebooks print with what is saved: a number that rounding decides
shows itself on any machine. The notebooks are not touched; a start-up file of IPython does it.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
STARTUP = """
import functools, os, zlib
import numpy, torch

SIZE = {torch.float64: 1e-15, torch.float32: 6e-8}  # as a share of each number
SEED = int(os.environ["METAUTIL_NOISE"])

def noisy(draw):
    @functools.wraps(draw)
    def drawn(*arguments, **options):
        values = draw(*arguments, **options)
        if values.dtype in SIZE and not torch._C._functorch.is_functorch_wrapped_tensor(values):
            # Of the values themselves: equal draws get equal noise, whenever they are made.
            found = values.detach().cpu().contiguous().numpy()
            noise = numpy.random.default_rng((SEED, zlib.crc32(found.tobytes()))).uniform(-1, 1, found.shape)
            with torch.no_grad():
                values.mul_(1 + SIZE[values.dtype] * torch.as_tensor(noise, dtype=values.dtype, device=values.device))
        return values
    return drawn

for owner, names in ((torch, ("rand", "randn", "normal")), (torch.Tensor, ("normal_", "uniform_"))):
    for name in names:
        setattr(owner, name, noisy(getattr(owner, name)))
"""


def compare(notebooks: list[Path], seed: int, options: tuple[str, ...] = ()) -> int:
    """Run notebooks with the noise of one seed by strict nbval; pytest's exit status."""
    with tempfile.TemporaryDirectory() as folder:
        start = Path(folder, "profile_default", "startup", "00_noise.py")
        start.parent.mkdir(parents=True)
        start.write_text(STARTUP, encoding="utf-8")
        command = [sys.executable, "-m", "pytest", "--nbval", "--nbval-current-env", "--nbval-cell-timeout", "180"]
        command += ["-n", "2", "--dist", "loadfile", "-q", *options, *map(str, notebooks)]
        environment = os.environ | {"IPYTHONDIR": folder, "METAUTIL_NOISE": str(seed)}
        return subprocess.run(command, cwd=ROOT, env=environment).returncode


def main(arguments: list[str] | None = None) -> int:
    """The command line; 1 if a notebook prints something else under some noise."""
    parser = argparse.ArgumentParser(prog="python -m tools.noise", description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=3, help="how many draws of noise")
    parser.add_argument("notebooks", nargs="*", type=Path, help="the solved ones if none is given")
    options = parser.parse_args(arguments)
    notebooks = options.notebooks or sorted((ROOT / "notebooks" / "solutions").glob("*.ipynb"))
    failed = 0
    for seed in range(1, options.seeds + 1):
        print(f"Rounding noise, {seed} of {options.seeds}:", flush=True)
        failed += compare(notebooks, seed) != 0
    return int(failed > 0)


if __name__ == "__main__":
    sys.exit(main())
