"""The noise: as small as a rounding error, the same for the same draw, and found by a notebook whose print depends on it."""

from __future__ import annotations

import nbformat
import pytest
import torch
from nbformat.v4 import new_code_cell, new_notebook, new_output

from tools import noise

DRAWS = {
    "rand": lambda g, dtype: torch.rand((500, 2), generator=g, dtype=dtype),
    "rand, sizes one by one": lambda g, dtype: torch.rand(500, 2, generator=g, dtype=dtype),
    "rand, out": lambda g, dtype: torch.rand(1000, generator=g, out=torch.empty(1000, dtype=dtype)),
    "randn": lambda g, dtype: torch.randn(1000, generator=g, dtype=dtype),
    "normal": lambda g, dtype: torch.normal(torch.zeros(1000, dtype=dtype), 1.0, generator=g),
    "normal_": lambda g, dtype: torch.empty(1000, dtype=dtype).normal_(generator=g),
    "uniform_": lambda g, dtype: torch.empty(1000, dtype=dtype).uniform_(1, 2, generator=g),
}


@pytest.fixture
def start(monkeypatch):
    """Seed → torch draws with its noise, until the test ends."""
    kept = {
        (owner, name): getattr(owner, name) for owner in (torch, torch.Tensor) for name in vars(owner) if name in DRAWS
    }

    def begin(seed: int) -> None:
        for (owner, name), draw in kept.items():
            setattr(owner, name, draw)
        monkeypatch.setenv("METAUTIL_NOISE", str(seed))
        exec(noise.STARTUP, {})

    yield begin
    for (owner, name), draw in kept.items():
        setattr(owner, name, draw)


@pytest.mark.parametrize("name", DRAWS)
@pytest.mark.parametrize(("dtype", "size"), [(torch.float64, 1.2e-15), (torch.float32, 2e-7)])
def test_draws_are_off_by_rounding_and_equal_draws_alike(start, name, dtype, size):
    def drawn() -> torch.Tensor:
        return DRAWS[name](torch.Generator().manual_seed(3), dtype)

    plain = drawn()
    start(1)
    one, again = drawn(), drawn()
    start(2)
    other = drawn()
    off = ((one - plain) / plain).abs()
    assert torch.equal(one, again) and not torch.equal(one, other)
    assert (one != plain).float().mean() > 0.15 and off.max() < size


def test_whole_numbers_are_left_alone(start):
    draws = [lambda g: torch.randperm(50, generator=g), lambda g: torch.randint(9, (50,), generator=g)]
    plain = [draw(torch.Generator().manual_seed(0)) for draw in draws]
    start(1)
    assert all(torch.equal(a, draw(torch.Generator().manual_seed(0))) for a, draw in zip(plain, draws, strict=True))


@pytest.mark.slow
@pytest.mark.parametrize(("times", "status"), [(3, 0), (400, 1)])
def test_a_print_that_rounding_decides_is_found(tmp_path, times, status):
    """x → 4x(1 − x) doubles an error with each step: after three steps two digits hold, after four hundred none does."""
    source = "import torch\nx = torch.rand(1, generator=torch.Generator().manual_seed(0), dtype=torch.float64)\n"
    source += f"for _ in range({times}):\n    x = 4 * x * (1 - x)\nprint(round(x.item(), 2))"
    scope: dict = {}
    exec(source.replace("print(", "said = ("), scope)
    cell = new_code_cell(
        source, execution_count=1, outputs=[new_output("stream", name="stdout", text=f"{scope['said']}\n")]
    )
    kernel = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
    nbformat.write(new_notebook(cells=[cell], metadata=kernel), tmp_path / "chaos.ipynb")
    assert noise.compare([tmp_path / "chaos.ipynb"], 1, ("-n", "0", "-p", "no:cacheprovider")) == status
