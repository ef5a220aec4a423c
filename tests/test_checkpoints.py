"""A run that is stopped, or killed, goes on from its checkpoint as if nothing had happened; other files are left alone."""

from __future__ import annotations

import errno
import multiprocessing
import os
import random
import signal
import time
from functools import partial
from itertools import pairwise
from pathlib import Path

import pytest
import torch

from metautil.checkpoints import CheckpointError
from metautil.joint import MetaLearner, MetaLoss, TaskLoss
from metautil.models import mlp
from metautil.risks import half_squared_error
from metautil.tasks import Data, take
from metautil.training import Run, early_stopping, fit, judge
from metautil.updates import UpdateRule, adam, momentum, sgd

COUNT, SIZE, EPOCHS, EVERY = 50, 4, 25, 7  # 12 batches an epoch, two examples left out
STEPS = EPOCHS * (COUNT // SIZE)


same = partial(torch.testing.assert_close, rtol=0, atol=0)
"""Two runs, or parts of runs, agree in every bit."""


class Stopped(Exception):
    """What a test raises in the middle of a run."""


def experiment(path=None, *, rule=None, lam=0.5, seed=0, count=COUNT, width=5, power=2, **options) -> Run:
    """One small run with all that has to survive: batches, a rule with memory, noise on the inputs, a best θ."""
    generator = torch.Generator().manual_seed(seed)
    x = torch.linspace(-1, 1, count, dtype=torch.float64).unsqueeze(1)
    data, model = Data(x, x**power), mlp((1, width, 1))
    task = TaskLoss(model, half_squared_error, take(data, torch.tensor([0, 3])))
    theta = model.init(generator).double()
    callbacks = [judge("task", lambda theta: task(theta).item()), early_stopping("task", patience=10 * EPOCHS)]
    return fit(
        MetaLearner(MetaLoss(model, half_squared_error), task, lam),
        theta,
        rule or momentum(0.02, 0.9),
        data,
        **{"prepare": noisy, "callbacks": callbacks, "every": EVERY, "size": SIZE, "epochs": EPOCHS}
        | {"generator": generator, "checkpoint": path}
        | options,
    )


def noisy(batch: Data, generator: torch.Generator) -> Data:
    noise = torch.randn(batch.x.shape, generator=generator, dtype=batch.x.dtype)
    return Data(batch.x + 0.01 * noise, batch.y)


def stopping_at(step: int, prepare=noisy):
    """``prepare`` until it is called for the ``step``-th time."""
    calls = []

    def stop(batch: Data, generator: torch.Generator) -> Data:
        calls.append(1)
        if len(calls) == step:
            raise Stopped
        return prepare(batch, generator)

    return stop


def stored(path: Path) -> Run:
    """The run in a checkpoint, read without the package."""
    return Run(**torch.load(path, weights_only=True)["run"])


def test_generator_and_history_are_left_as_without_a_stop(tmp_path):
    """Without callbacks, which look at the history themselves. Stopped in the second of four epochs."""
    data, seen = Data(torch.arange(6.0).unsqueeze(1), torch.ones(6, 1)), []
    for stop in (False, True):
        generator = torch.Generator().manual_seed(3)
        options = {"size": 2, "epochs": 4, "checkpoint": tmp_path / f"{stop}.pt", "every": 1, "generator": generator}
        given = (lambda theta, batch: (theta * batch.x).sum(), torch.zeros(1), sgd(0.1), data)
        if stop:
            with pytest.raises(Stopped):
                fit(*given, prepare=stopping_at(5), **options)
        run = fit(*given, prepare=noisy, **options)
        seen.append((torch.randn(3, generator=generator), run.history["objective"]))
    assert len(seen[0][1]) == 4
    same(*seen)


@pytest.mark.parametrize("rule", [sgd(0.02), momentum(0.02, 0.9), adam(0.01)], ids=lambda rule: rule.text)
@pytest.mark.parametrize("step", [5, 12, 13, 40])
def test_a_stopped_run_goes_on_as_if_it_had_not_been(rule, step, tmp_path):
    """Stopped before the first checkpoint in an epoch, at an epoch's last step, at the next one's first, and later on."""
    path, options = tmp_path / "run.pt", {"rule": rule, "epochs": 5}
    whole = experiment(**options)
    with pytest.raises(Stopped):
        experiment(path, prepare=stopping_at(step), **options)
    before = stored(path).step
    assert before == max(n for n in range(step) if n % EVERY == 0 or n % (COUNT // SIZE) == 0)
    calls = []
    resumed = experiment(path, prepare=lambda *given: calls.append(1) or noisy(*given), **options)
    assert len(calls) == 60 - before
    same(resumed, whole)
    same(stored(path), whole)


def test_a_finished_run_is_returned_at_once_and_can_be_made_longer(tmp_path):
    """Also one that stopped early, which stays stopped."""
    path, other = tmp_path / "run.pt", tmp_path / "other.pt"
    first = experiment(path, epochs=2)
    same(experiment(path, epochs=2, prepare=stopping_at(1)), first)
    same(experiment(path, epochs=3), experiment(epochs=3))
    worse = [judge("rising", lambda theta: 1.0), early_stopping("rising", patience=2)]
    run = experiment(other, callbacks=worse)
    assert run.stop and run.epoch == 3
    same(experiment(other, callbacks=worse, prepare=stopping_at(1)), run)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"width": 6}, "number of parameters is 16 there and 19 here"),
        ({"count": 51}, "number of examples is 50 there and 51 here"),
        ({"size": 5}, "batch size is 4 there and 5 here"),
        ({"rule": momentum(0.03, 0.9)}, "η = 0.02, β = 0.9 there and momentum, η = 0.03"),
        ({"lam": 3}, "λ is 0.5 there and 3.0 here"),
        ({"seed": 1}, "seed is 0 there and 1 here; checksum of θ_0"),
        ({"power": 3}, "checksum of the data is"),
        ({"prepare": None}, "augmentation is used there and unused here"),
        ({"epochs": 1}, "2 epochs, more than the 1 asked for"),
    ],
    ids=lambda value: "" if isinstance(value, str) else next(iter(value)),
)
def test_a_checkpoint_of_another_experiment_is_refused_and_left_as_it_is(change, words, tmp_path):
    path = tmp_path / "run.pt"
    experiment(path, epochs=2)
    content = path.read_bytes()
    with pytest.raises(CheckpointError, match=words) as caught:
        experiment(path, **{"epochs": 2} | change)
    assert str(path) in str(caught.value) and "another path" in str(caught.value)
    assert path.read_bytes() == content


def test_damage_and_foreign_files_are_refused_and_left_as_they_are(tmp_path):
    path = tmp_path / "run.pt"
    experiment(path, epochs=1)
    whole, theta = path.read_bytes(), stored(path).theta
    place = whole.index(theta.numpy().tobytes()) + 3
    flipped = whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :]
    torch.save({"weights": theta}, path)
    foreign = path.read_bytes()
    for content in (flipped, whole[:-40], whole[: len(whole) // 2], b"", b"notes", foreign):
        path.write_bytes(content)
        with pytest.raises(CheckpointError, match="Delete it to start anew, or give another path") as caught:
            experiment(path, epochs=1)
        assert str(path) in str(caught.value) and path.read_bytes() == content


def test_code_in_a_file_is_not_run(tmp_path):
    class Trap:
        def __reduce__(self):
            return os.mkdir, (str(tmp_path / "sprung"),)

    torch.save({"format": Trap()}, tmp_path / "run.pt")
    with pytest.raises(CheckpointError, match="damaged or no checkpoint"):
        experiment(tmp_path / "run.pt")
    assert not (tmp_path / "sprung").exists()


def test_a_full_disk_leaves_the_checkpoint_before(tmp_path, monkeypatch):
    path, calls, fsync = tmp_path / "run.pt", [], os.fsync

    def full(file):
        calls.append(1)
        if len(calls) > 3:  # before the first step, after steps 7 and 12
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        fsync(file)

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(CheckpointError, match=r"No space left on device\. The one written before is whole"):
        experiment(path)
    monkeypatch.undo()
    assert stored(path).step == 12 and list(tmp_path.iterdir()) == [path]
    same(experiment(path), experiment())


def test_what_cannot_be_written_or_read_back_is_named_before_the_first_step(tmp_path):
    """A place below a file, a folder in the file's place, a rule whose state is no tensor."""
    (tmp_path / "file").write_text("not a folder")
    (tmp_path / "folder").mkdir()
    odd = UpdateRule(lambda theta: Path("odd"), lambda gradient, state: (-gradient, state))
    for place, rule, words in (
        ("file/run.pt", None, r"could not be written.*None was written before"),
        ("folder", None, r"could not be read.*another path"),
        ("run.pt", odd, "damaged or no checkpoint"),
    ):
        with pytest.raises(CheckpointError, match=words):
            experiment(tmp_path / place, rule=rule, prepare=stopping_at(1))


def counted(rule: UpdateRule, log: int) -> UpdateRule:
    """The rule with a count of its steps in its state; each step's number goes into a file as it is made."""

    def apply(gradient, state):
        inner, count = state
        os.write(log, f"{int(count) + 1}\n".encode())
        step, inner = rule(gradient, inner)
        return step, (inner, count + 1)

    return UpdateRule(lambda theta: (rule.init(theta), torch.tensor(0)), apply, rule.text)


def live(path: Path, log: Path, dies_at_write: int | None, waits_after: int | None) -> Run:
    """One life of the run, in a process of its own, until it is killed or finished."""
    torch.set_num_threads(1)
    if dies_at_write is not None:
        calls, replace = [], os.replace

        def replace_or_die(*names):
            calls.append(1)
            if len(calls) == dies_at_write:
                os.kill(os.getpid(), signal.SIGKILL)
            replace(*names)

        os.replace = replace_or_die

    prepared = []

    def slow(batch: Data, generator: torch.Generator) -> Data:
        prepared.append(1)
        time.sleep(60 if len(prepared) == waits_after else 0.001)  # a busy machine may bring the kill late
        return noisy(batch, generator)

    file = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    return experiment(path, rule=counted(momentum(0.02, 0.9), file), prepare=slow)


def lines(log: Path) -> list[int]:
    return [int(line) for line in log.read_text().split()] if log.exists() else []


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="this system has no SIGKILL")
@pytest.mark.parametrize("trial", range(int(os.environ.get("METAUTIL_TRIALS", "1"))))  # `make proof`: more of them
def test_a_killed_run_ends_in_every_bit_as_one_that_was_not(tmp_path, trial):
    """Eight lives: six are killed at random moments, one between writing a checkpoint and moving it to its place."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["torch._dynamo", "matplotlib.pyplot", "tqdm.auto", "pytest"])  # once for all lives
    path, draw = tmp_path / "run.pt", random.Random(6 + trial)
    logs, found = [], [0]  # steps made in each life; step of the checkpoint that each life begins with
    for life in range(8):
        log = tmp_path / f"{life}.log"
        in_write, last = life == 3, life == 7
        wanted = draw.randint(EVERY + 1, 30)
        ends = (3, None) if in_write else (None, None) if last else (None, wanted + 10)
        process = context.Process(target=live, args=(path, log, *ends), daemon=True)
        process.start()
        if not (in_write or last):
            patience = time.monotonic() + 60
            while len(lines(log)) < wanted:
                assert process.is_alive() and time.monotonic() < patience
                time.sleep(0.0005)
            time.sleep(draw.uniform(0, 0.003))
            process.kill()
        process.join(60)
        assert process.exitcode == (0 if last else -signal.SIGKILL)
        assert len(list(tmp_path.glob(".run.pt.*.part"))) >= in_write
        logs.append(lines(log))
        found.append(stored(path).step)  # whole after every death

    for before, after, steps in zip(found[:-1], found[1:], logs, strict=True):
        assert steps == list(range(before + 1, steps[-1] + 1))  # goes on where the checkpoint is, not from the start
        assert 0 <= steps[-1] - after <= EVERY  # and loses what came after the last checkpoint only
    assert all(before < after for before, after in pairwise(found)) and found[-1] == STEPS
    repeated = sum(steps[-1] - after for steps, after in zip(logs, found[1:], strict=True))
    assert sum(map(len, logs)) == STEPS + repeated

    file = os.open(tmp_path / "whole.log", os.O_WRONLY | os.O_CREAT)
    whole = experiment(rule=counted(momentum(0.02, 0.9), file))
    os.close(file)
    ended = stored(path)
    same(ended, whole)
    assert len(ended.history["task"]) == EPOCHS and ended.kept is not None
    assert not list(tmp_path.glob(".run.pt.*.part"))
