"""Proof that the tests bite: break the package in one place, and something turns red.

Each mutant is a copy of the package with one small change of the kind people make: a forgotten ½, λ or η, a swapped sign, a sum
for a mean, a stray detach. The copy imports and runs; a test file or a notebook then has to fail by an assertion or a
difference of outputs, not by a crash.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).parent.parent
SMOKE = """
import sys, tempfile, torch, metautil
from metautil.datasets import sinusoids
from metautil.gradients import central_differences
from metautil.joint import MetaLearner, MetaLoss, TaskLoss
from metautil.models import mlp
from metautil.risks import cross_entropy, empirical_risk, half_squared_error
from metautil.risks import half_squared_error_of_classes, joint_risk, normalised_joint_risk
from metautil.statistics import mean_interval, share_interval
from metautil.tasks import Data, split_per_class
from metautil.training import accuracy, evaluate, fit, minibatches, train_epoch
from metautil.updates import adam, derived, descend, momentum, rmsprop, sgd
generator = metautil.begin(0)
task = sinusoids(shots=5)(1, generator)
model = mlp((1, 3, 1))
theta = model.init(generator)
risk = lambda theta: empirical_risk(model, theta, Data(task.support.x[0], task.support.y[0]), half_squared_error)
normalised_joint_risk(risk(theta), joint_risk(risk(theta), risk(theta), 0.5), 2.0)
cross_entropy(torch.zeros(2, 3), torch.tensor([0, 2])), central_differences(risk, theta)
for rule in (sgd(0.1), momentum(0.1, 0.5), rmsprop(0.1), adam(0.1)):
    descend(rule, torch.func.grad(risk), theta, 3)
derived(1.0, sgd(0.1))((theta, theta), ())
digits = split_per_class(Data(torch.zeros(8, 1), torch.arange(8) % 2), 2, generator)
list(minibatches(digits.query, 2, generator)), mean_interval([1.0, 2.0]), share_interval(1, 2)
data = Data(torch.rand(8, 2), torch.arange(8) % 2)
line, zero = mlp((2, 2)), torch.zeros(6)
learner = MetaLearner(MetaLoss(line, cross_entropy), TaskLoss(line, half_squared_error_of_classes, data), 1.0)
with tempfile.TemporaryDirectory() as folder:
    for epochs in (1, 2):
        run = fit(learner, zero, sgd(0.1), data, size=3, epochs=epochs, generator=generator, checkpoint=folder + "/run.pt")
evaluate(line, run.theta, data, cross_entropy, size=3)
torch.set_default_dtype(torch.float32)
print("the mutant runs", flush=True)
import pytest
sys.exit(pytest.main(ARGUMENTS))
"""
"""Uses what mutants change, then starts pytest in the same process."""

SERVER = """
import json, os, sys, traceback
import anyio.pytest_plugin, nbval.plugin  # pytest's plugins: to load them takes longer than most mutants
import hypothesis, matplotlib.pyplot, numpy, pytest, scipy.optimize, scipy.stats, sympy, torch, torch.func, torchvision, tqdm.auto
for line in sys.stdin:
    order = json.loads(line)
    child = os.fork()
    if child == 0:
        output = os.open(order["output"], os.O_WRONLY | os.O_CREAT)
        os.dup2(output, 1), os.dup2(output, 2), os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        os.chdir(order["folder"])
        os.environ.update(order["environment"])
        sys.path[:0] = order["path"]
        code = 3
        try:
            exec(order["code"], {"__name__": "__main__", "ARGUMENTS": order["arguments"]})
        except SystemExit as end:
            code = int(end.code)
        except BaseException:
            traceback.print_exc()
        sys.stdout.flush(), sys.stderr.flush()
        os._exit(code)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""
"""Imports the libraries, neither metautil nor tests, once; then runs each order in a fork of itself."""


class Mutant(NamedTuple):
    """In ``file`` of the package, ``old`` becomes ``new``; ``caught_by`` is what has to notice.

    It is a test file, a notebook, or, where many slow tests stand before it in its file, the one test. A test that is no longer
    there under its name is an error.
    """

    name: str
    file: str
    old: str
    new: str
    caught_by: str


FORMULAS, NOTEBOOK = "tests/test_formulas.py", "notebooks/03_the_gradient_update.ipynb"
LEARNERS = "tests/test_learners.py"
META_GRADIENT = f"{LEARNERS}::test_meta_gradient_equals_central_differences"
MUTANTS = [
    Mutant("loss without ½", "risks.py", "0.5 * (y - y_star)", "1.0 * (y - y_star)", FORMULAS),
    Mutant("outputs averaged", "risks.py", ".square().sum(-1)", ".square().mean(-1)", FORMULAS),
    Mutant("risk is a sum", "risks.py", "data.y).mean()", "data.y).sum()", FORMULAS),
    Mutant("θ detached", "risks.py", "model(theta, data.x)", "model(theta.detach(), data.x)", NOTEBOOK),
    Mutant("λ dropped", "risks.py", "return risk_D + lam * risk_T", "return risk_D + risk_T", FORMULAS),
    Mutant("not divided by 1 + λ", "risks.py", "/ (1 + lam)", "/ (1 + 0 * lam)", "tests/test_risks.py"),
    Mutant("likelihood for its negative", "risks.py", "return -y.log_softmax", "return y.log_softmax", FORMULAS),
    Mutant("η dropped", "updates.py", "-eta * gradient, state", "-gradient, state", NOTEBOOK),
    Mutant("uphill", "updates.py", "-eta * gradient, state", "eta * gradient, state", FORMULAS),
    Mutant("λ on the wrong risk", "updates.py", "gradient_D + lam * gradient_T", "lam * gradient_D + gradient_T", FORMULAS),
    Mutant("velocity averaged", "updates.py", "velocity + gradient", "velocity + (1 - beta) * gradient", NOTEBOOK),
    Mutant("velocity forgotten", "updates.py", "-eta * velocity, velocity", "-eta * velocity, 0 * velocity",
           "tests/test_updates.py"),
    Mutant("RMSprop's ε inside the root", "updates.py", "(square.sqrt() + epsilon)", "(square + epsilon).sqrt()",
           "tests/test_updates.py"),
    Mutant("Adam's ε inside the root", "updates.py", "(square_hat.sqrt() + epsilon)", "(square_hat + epsilon).sqrt()",
           "tests/test_updates.py"),
    Mutant("Adam's mean not corrected", "updates.py", "mean / (1 - beta_1**k)", "mean / (1 - 0 * k)",
           "tests/test_updates.py"),
    Mutant("Adam's mean square not corrected", "updates.py", "square / (1 - beta_2**k)", "square / (1 - 0 * k)",
           "tests/test_updates.py"),
    Mutant("RMSprop sums squares", "updates.py", "square = beta * square + (1 - beta) * gradient**2",
           "square = beta * square + gradient**2", "tests/test_updates.py"),
    Mutant("the printed rule's weight is λ", "problems.py", "else lam / eta", "else lam", "tests/test_problems.py"),
    Mutant("difference over ε", "gradients.py", "(2 * width)", "(1 * width)", FORMULAS),
    Mutant("bias dropped", "models.py", ', weights[f"{name}.bias"].u', ', 0 * weights[f"{name}.bias"].u', FORMULAS),
    Mutant("pooling forgotten to be a maximum", "models.py", "F.max_pool2d(x, 2).relu()", "F.avg_pool2d(x, 2).relu()",
           "tests/test_models.py"),
    Mutant("Hessian term dropped", "learners.py", "create_graph=tracked and second_order", "create_graph=False", LEARNERS),
    Mutant("Hessian term kept in FOMAML", "learners.py", "steps, second_order=False)", "steps)",
           f"{LEARNERS}::test_fomaml_and_reptile_ask_where_the_walks_end"),
    Mutant("Reptile climbs", "learners.py", "(phi.detach() - predictor", "(-phi.detach() + predictor",
           f"{LEARNERS}::test_fomaml_and_reptile_ask_where_the_walks_end"),
    Mutant("iMAML's λ on the wrong side", "learners.py", "retain_graph=True)[0] / lam", "retain_graph=True)[0] * lam",
           f"{META_GRADIENT}[iMAML-None-classes]"),
    Mutant("set learner's mean taken off the query alone", "learners.py", "features - middle)", "features)",
           f"{META_GRADIENT}[set learner-None-conv4]"),
    Mutant("CKA of features that are not centred", "similarity.py", "part - part.mean(-2, keepdim=True)", "1 * part",
           f"{FORMULAS}::test_formula_holds[11.11]"),
    Mutant("support left in the query", "tasks.py", "rest[support] = False", "rest[support[:0]] = False",
           "tests/test_training.py"),
    Mutant("batches not shuffled", "training.py", "torch.randperm(count, generator=generator)", "torch.arange(count)",
           "tests/test_training.py"),
    Mutant("λ on the data's risk in MetaLearner", "joint.py", "self.meta_loss(theta, batch), self.task_loss(theta), self.lam",
           "self.task_loss(theta), self.meta_loss(theta, batch), self.lam", "tests/test_training.py"),
    Mutant("evaluation averaged over batches", "training.py", "torch.cat(losses).mean().item()",
           "torch.stack([part.mean() for part in losses]).mean().item()", "tests/test_training.py"),
    Mutant("generator not restored", "training.py", "generator.set_state(run.generator)", "generator.get_state()",
           "tests/test_checkpoints.py"),
    Mutant("position in the epoch not restored", "training.py", "checkpoints.load(path, experiment))",
           'checkpoints.load(path, experiment) | {"values": ()})', "tests/test_checkpoints.py"),
    Mutant("history not restored", "training.py", "checkpoints.load(path, experiment))",
           'checkpoints.load(path, experiment))._replace(history=run.history)', "tests/test_checkpoints.py"),
    Mutant("hidden generator not put back", "augmentation.py", "with torch.random.fork_rng(devices=[]):", "if True:",
           "tests/test_augmentation.py"),
    Mutant("one draw for all images", "augmentation.py", "manual_seed(seed)", "manual_seed(seeds[0])",
           "tests/test_augmentation.py"),
    Mutant("n for n − 1", "statistics.py", "values) / (count - 1))", "values) / count)", "tests/test_foundations.py"),
]  # fmt: skip


def build(mutant: Mutant, folder: Path) -> Path:
    """Copy the package into ``folder`` with the one change; return where it lies."""
    package = folder / "metautil"
    shutil.copytree(ROOT / "metautil", package, ignore=shutil.ignore_patterns("__pycache__"))
    file = package / mutant.file
    text = file.read_text(encoding="utf-8")
    assert text.count(mutant.old) == 1, f"{mutant.old!r} stands {text.count(mutant.old)} times in {mutant.file}"
    file.write_text(text.replace(mutant.old, mutant.new), encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def server() -> Iterator[subprocess.Popen]:
    """The process that forks itself for each mutant."""
    settings = os.environ | {"PYTHONDONTWRITEBYTECODE": "1", "HYPOTHESIS_PROFILE": "catch"}
    with subprocess.Popen(
        [sys.executable, "-c", SERVER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=settings, cwd="/"
    ) as process:
        yield process
        process.stdin.close()


def failures(server: subprocess.Popen, folder: Path, target: str) -> list[str]:
    """Run a test file, test or notebook against the package of ``folder``; the first failure's message, or none."""
    report, output = folder / "report.xml", folder / "output.txt"
    options = ["-x", "-q", "-p", "no:cacheprovider", "-p", "no:xdist", f"--junitxml={report}"]
    options += ["-c", str(ROOT / "pyproject.toml"), "-o", f"pythonpath={folder} {ROOT}"]
    if target.endswith(".ipynb"):
        options += ["--nbval", "--nbval-current-env", "--nbval-sanitize-with", str(ROOT / "tests/nbval_sanitize.cfg")]
    order = {
        "folder": str(folder),
        "output": str(output),
        "environment": {"PYTHONPATH": f"{folder}{os.pathsep}{ROOT}"},
        "path": [str(folder), str(ROOT)],
        "code": SMOKE,
        "arguments": [*options, str(ROOT / target)],
    }
    print(json.dumps(order), file=server.stdin, flush=True)
    code = int(server.stdout.readline())
    said = output.read_text(encoding="utf-8")
    assert "the mutant runs" in said, f"the mutant does not run:\n{said}"
    assert code in (0, 1), said
    return [element.get("message") + (element.text or "") for element in ET.parse(report).iter("failure")]


def is_a_finding(message: str) -> bool:
    """Whether a failure is an assertion or a difference of outputs, not a crash."""
    if "Cell outputs differ" in message or "cell outputs differ" in message:
        return True
    return "AssertionError" in message.splitlines()[0] or message.startswith("assert")


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_mutant_is_caught(mutant, tmp_path, server):
    folder = build(mutant, tmp_path)
    found = failures(server, folder, mutant.caught_by)
    assert found, f"{mutant.caught_by} is green although: {mutant.name}"
    assert is_a_finding(found[0]), f"{mutant.caught_by} crashed instead of finding a difference:\n{found[0][:2000]}"
