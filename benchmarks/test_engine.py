"""The speed benchmark of the engine: every side solves the same problem, or nothing is timed."""

from __future__ import annotations

import os

import pytest
import torch
from torch.func import grad

from benchmarks import engine
from benchmarks.engine import GRID, Case
from metautil.datasets import NotThere
from metautil.risks import empirical_risk
from metautil.tasks import Data

SMALL = {"sinusoid": Case(None, 3, 2, True), "conv4": Case(4, 2, 2, True)}
SMALL |= {f"{name}, first order": case._replace(second_order=False) for name, case in SMALL.items()}
WITH_PEERS = pytest.mark.skipif(
    not os.environ.get("METAUTIL_PEERS"), reason="METAUTIL_PEERS names no folder with the peers"
)


@pytest.fixture(autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def test_the_cases_are_those_of_the_targets():
    assert GRID["sinusoid, 5 steps, second order"] == Case(None, 25, 5, True)
    assert GRID["conv4-32, 16 tasks, 5 steps, second order"] == Case(32, 16, 5, True)
    assert GRID["conv4-64, 4 tasks, 1 step, first order"] == Case(64, 4, 1, False)
    assert GRID["sinusoid, 5 steps, second order, compiled"] == Case(None, 25, 5, True, compiled=True)
    plain = {case for case in GRID.values() if not case.compiled}
    assert len(plain) == 2 * 2 + 2 * 3 * 2 * 2


def test_without_the_peers_one_line_says_what_to_put_where(monkeypatch, tmp_path):
    for folder in ("", str(tmp_path)):
        monkeypatch.setenv("METAUTIL_PEERS", folder)
        with pytest.raises(NotThere, match=r"METAUTIL_PEERS.*learn2learn.*pip install") as caught:
            engine.measure("sinusoid, 1 step, first order", 0)
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize("wrong", [torch.tensor([1.0, 2.0, 3.00001]), torch.tensor([1.0, 2.0, torch.nan])])
def test_sides_that_compute_different_things_are_refused(wrong):
    right = torch.tensor([1.0, 2.0, 3.0])
    engine.check({"metautil": right, "higher": right + 1e-9})
    with pytest.raises(AssertionError, match="higher and metautil differ"):
        engine.check({"metautil": right, "learn2learn": right, "higher": wrong})


@pytest.mark.parametrize("case", [SMALL["sinusoid"], SMALL["conv4"]], ids=["sinusoid", "conv4"])
def test_the_peers_network_is_our_model(case):
    given = engine.problem(case, 0, torch.float64)
    for x, y in given.tasks:
        outputs = given.model(given.phi, x[0])
        torch.testing.assert_close(given.network(x[0]), outputs, rtol=1e-10, atol=1e-12)
        torch.testing.assert_close(given.risk(outputs, y[0]), given.loss(outputs, y[0]).mean())
    assert torch.equal(engine.flat(list(given.network.parameters())), given.phi)


def test_the_loop_over_tasks_averages_them():
    given = engine.problem(SMALL["conv4"], 0, torch.float64)

    def add_gradient(_, query):
        judged = given.risk(given.network(query.x), query.y)
        judged.backward()
        return judged.detach()

    meta_gradient = engine.one_by_one(given, add_gradient)
    query_x, query_y = given.tasks.query

    def mean_risk(phi):
        queries = [Data(x, y) for x, y in zip(query_x, query_y, strict=True)]
        return sum(empirical_risk(given.model, phi, query, given.loss) for query in queries) / len(queries)

    expected = grad(mean_risk)(given.phi)
    for _ in range(2):  # nothing is left from the first time
        torch.testing.assert_close(engine.flat(meta_gradient()), expected, rtol=1e-9, atol=1e-11)


def test_channels_last_reaches_the_first_layer_whatever_its_weights_become():
    """One inner step returns that layer's weights in the other format, so that its images must ask for this one."""
    given = engine.strides_forced(engine.problem(SMALL["conv4"], 0, torch.float32))
    image = given.tasks.query.x[1]
    assert torch.equal(image, engine.problem(SMALL["conv4"], 0, torch.float32).tasks.query.x[1])
    first = given.network.body[0]
    outputs = torch.nn.functional.conv2d(image, first.weight.contiguous(), first.bias, padding=1)
    assert outputs.is_contiguous(memory_format=torch.channels_last)


def test_sides_have_their_turns_one_after_another():
    calls = []
    times = engine.in_turn({name: lambda name=name: calls.append(name) for name in "ab"}, (2, 3), 0)
    assert calls == ["a", "b", "a", "b"] and {name: len(taken) for name, taken in times.items()} == {"a": 2, "b": 2}
    assert len(engine.in_turn({"a": lambda: None}, (1, 3), 60)["a"]) == 3


@WITH_PEERS
@pytest.mark.parametrize("case", SMALL.values(), ids=SMALL)
def test_all_sides_agree(case):
    gradients = {}
    for side, make in engine.SIDES.items():
        step = make(case, engine.problem(case, 0, torch.float64))
        step()
        gradients[side] = engine.flat(step())  # the second call, as in the timing
    assert gradients["metautil"].norm() > 0.01
    engine.check(gradients)
