"""Proof that the tests bite: break the package in one place, and something turns red.

Each mutant is a copy of the package with one small change of the kind people make: a forgotten ½, λ or η, a swapped sign, a sum
for a mean, a stray detach. The copy imports and runs; a test file or a notebook then has to fail by an assertion or a
difference of outputs, not by a crash. The place of the change is looked up in the syntax tree, so that new names of local
variables, new lines, layout and comments leave the mutants as they are.
"""

from __future__ import annotations

import ast
import json
import os
import re
import shutil
import subprocess
import sys
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

pytestmark = pytest.mark.deep
ROOT = Path(__file__).parent.parent
SERVER = """
import gc, json, os, sys, traceback
import anyio.pytest_plugin, nbval.plugin  # pytest's plugins: to load them takes longer than most mutants
import hypothesis, matplotlib.pyplot, numpy, pytest, scipy.optimize, scipy.stats, sympy, torch, torch.func, torchvision, tqdm.auto
gc.freeze()  # or half of the time goes into looking through these libraries for garbage
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
            __import__(order["package"])  # the mutant; pytest may put the original before it
            code = int(pytest.main(order["arguments"]))
        except BaseException:
            traceback.print_exc()
        sys.stdout.flush(), sys.stderr.flush()
        os._exit(code)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""
"""Imports the libraries, neither metautil nor tests, once; then runs each order in a fork of itself."""


class Mutant(NamedTuple):
    """In a function of `metautil`, or of `lessons`, the one place that looks like ``old`` becomes ``new``.

    ``where`` is a module and a function or method in it. ``old`` and ``new`` are Python in which each name with an underscore
    in front, such as ``_a``, stands for any expression, the same one wherever the name stands. Other names stand for themselves:
    globals, and the function's own parameters. ``caught_by`` is a test file, a notebook, or, where many slow tests stand before
    it in its file, the one test; a test that is no longer there under its name is an error.
    """

    name: str
    where: str
    old: str
    new: str
    caught_by: str


FORMULAS, NOTEBOOK = "tests/test_formulas.py", "notebooks/03_the_gradient_update.ipynb"
LEARNERS, UPDATES, TRAINING = "tests/test_learners.py", "tests/test_updates.py", "tests/test_training.py"
CHECKPOINTS, AUGMENTATION = "tests/test_checkpoints.py", "tests/test_augmentation.py"
META_GRADIENT = f"{LEARNERS}::test_meta_gradient_equals_central_differences"
LOAD = "_run = Run(**checkpoints.load(_path, _experiment))"
MUTANTS = [
    Mutant("loss without ½", "risks.half_squared_error", "0.5 * _square", "1.0 * _square", FORMULAS),
    Mutant("outputs averaged", "risks.half_squared_error", "_square.sum(-1)", "_square.mean(-1)", FORMULAS),
    Mutant("risk is a sum", "risks.empirical_risk", "_losses.mean()", "_losses.sum()", FORMULAS),
    Mutant("θ detached", "risks.empirical_risk", "model(theta, _x)", "model(theta.detach(), _x)", NOTEBOOK),
    Mutant("λ dropped", "risks.joint_risk", "risk_D + lam * risk_T", "risk_D + risk_T", FORMULAS),
    Mutant("not divided by 1 + λ", "risks.normalised_joint_risk", "1 + lam", "1 + 0 * lam", "tests/test_risks.py"),
    Mutant("likelihood for its negative", "risks.cross_entropy", "-_log.squeeze(-1)", "_log.squeeze(-1)", FORMULAS),
    Mutant("η dropped", "updates.sgd", "-eta * _g, _state", "-_g, _state", NOTEBOOK),
    Mutant("uphill", "updates.sgd", "-eta * _g, _state", "eta * _g, _state", FORMULAS),
    Mutant("λ on the wrong risk", "updates.derived", "_D + lam * _T", "lam * _D + _T", FORMULAS),
    Mutant("velocity averaged", "updates.momentum", "beta * _v + _g", "beta * _v + (1 - beta) * _g", NOTEBOOK),
    Mutant("velocity forgotten", "updates.momentum", "-eta * _v, _v", "-eta * _v, 0 * _v", UPDATES),
    Mutant("RMSprop's ε inside the root", "updates.rmsprop", "_v.sqrt() + epsilon", "(_v + epsilon).sqrt()", UPDATES),
    Mutant("Adam's ε inside the root", "updates.adam", "_v.sqrt() + epsilon", "(_v + epsilon).sqrt()", UPDATES),
    Mutant("Adam's mean not corrected", "updates.adam", "_m / (1 - beta_1**_k)", "_m / (1 - 0 * _k)", UPDATES),
    Mutant("Adam's mean square not corrected", "updates.adam", "_v / (1 - beta_2**_k)", "_v / (1 - 0 * _k)", UPDATES),
    Mutant("RMSprop sums squares", "updates.rmsprop", "(1 - beta) * _g**2", "_g**2", UPDATES),
    Mutant("the printed rule's weight is λ", "lessons.shared.problems.relative_weight", "lam / eta", "lam",
           "lessons/shared/test_problems.py"),
    Mutant("difference over ε", "gradients.central_differences", "2 * width", "1 * width",
           f"{FORMULAS}::test_formula_holds[3.4]"),
    Mutant("bias dropped", "models.mlp", "_bias.unsqueeze(-2)", "0 * _bias.unsqueeze(-2)", FORMULAS),
    Mutant("pooling forgotten to be a maximum", "models.small_cnn", "F.max_pool2d(_x, 2)", "F.avg_pool2d(_x, 2)",
           "tests/test_models.py"),
    Mutant("Hessian term dropped", "learners.inner_loop", "grad(_r, _theta, _ones, create_graph=_tracked)",
           "grad(_r, _theta, _ones, create_graph=False)", LEARNERS),
    Mutant("Hessian term kept in FOMAML", "learners.fomaml", "_f(model, loss, alpha, steps, second_order=False)",
           "_f(model, loss, alpha, steps)", f"{LEARNERS}::test_fomaml_and_reptile_ask_where_the_walks_end"),
    Mutant("Reptile climbs", "learners.reptile", "(_phi - _theta) / alpha", "(-_phi + _theta) / alpha",
           f"{LEARNERS}::test_fomaml_and_reptile_ask_where_the_walks_end"),
    Mutant("iMAML's λ on the wrong side", "learners.imaml", "_Hv / lam", "_Hv * lam",
           f"{META_GRADIENT}[iMAML-None-classes]"),
    Mutant("set learner's mean taken off the support alone", "learners.set_learner", "_body(_phi, _x) - _middle",
           "_body(_phi, _x)", f"{META_GRADIENT}[set learner-None-conv4]"),
    Mutant("CKA of features that are not centred", "similarity.linear_cka", "_f - _f.mean(-2, keepdim=True)", "1 * _f",
           f"{FORMULAS}::test_formula_holds[14.11]"),
    Mutant("support left in the query", "tasks.split_per_class", "_rest[_i] = False", "_rest[_i[:0]] = False", TRAINING),
    Mutant("batches not shuffled", "training._draw_order", "torch.randperm(_n, generator=_g)", "torch.arange(_n)", TRAINING),
    Mutant("λ on the data's risk in MetaLearner", "joint.MetaLearner.__call__",
           "normalised_joint_risk(_D, _T, _lam)", "normalised_joint_risk(_T, _D, _lam)", TRAINING),
    Mutant("evaluation averaged over batches", "training.evaluate", "torch.cat(_losses).mean()",
           "torch.stack([*map(torch.mean, _losses)]).mean()", TRAINING),
    Mutant("generator not restored", "training.fit", "generator.set_state(_run.generator)", "generator.get_state()", CHECKPOINTS),
    Mutant("position in the epoch not restored", "training.fit", LOAD, f"{LOAD}._replace(values=())", CHECKPOINTS),
    Mutant("history not restored", "training.fit", LOAD, f"{LOAD}._replace(history=_run.history)", CHECKPOINTS),
    Mutant("hidden generator not put back", "augmentation.seeded", "torch.random.fork_rng(devices=[])",
           "torch.enable_grad()", AUGMENTATION),
    Mutant("one draw for all images", "augmentation.seeded", "zip(_images, _seeds, strict=True)",
           "zip(_images, [_seeds[0]] * len(_seeds), strict=True)", AUGMENTATION),
    Mutant("n for n − 1", "statistics.mean_interval", "_squares / (_count - 1)", "_squares / _count",
           "tests/test_foundations.py"),
]  # fmt: skip
PLACEHOLDER = re.compile(r"(?<![\w.])_\w+")
each_mutant = pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)


def code(text: str) -> ast.AST:
    """The expression or the statement in ``text``."""
    (statement,) = ast.parse(text).body
    return statement.value if isinstance(statement, ast.Expr) else statement


def agrees(old: Any, node: Any, bound: dict[str, ast.AST]) -> bool:
    """Whether code looks like ``old``; ``bound`` gets what each placeholder stands for."""
    if isinstance(old, ast.Name) and PLACEHOLDER.match(old.id):
        first = bound.setdefault(old.id, node)
        return isinstance(node, ast.expr) and ast.unparse(first) == ast.unparse(node)
    if isinstance(old, list) and isinstance(node, list):
        return len(old) == len(node) and all(agrees(*pair, bound) for pair in zip(old, node, strict=True))
    if not isinstance(old, ast.AST):
        return old == node
    fields = [field for field in old._fields if field not in ("ctx", "kind", "type_comment")]
    return type(old) is type(node) and all(agrees(getattr(old, f), getattr(node, f), bound) for f in fields)


class Change(ast.NodeTransformer):
    """Puts ``new`` wherever ``old`` is; ``lines`` says where that was."""

    def __init__(self, old: str, new: str) -> None:
        self.old, self.new, self.lines = code(old), new, []

    def visit(self, node: ast.AST) -> ast.AST:
        node, bound = self.generic_visit(node), {}
        if not agrees(self.old, node, bound):
            return node
        self.lines.append(node.lineno)
        return code(PLACEHOLDER.sub(lambda match: f"({ast.unparse(bound[match[0]])})", self.new))


def package_of(mutant: Mutant) -> str:
    return "lessons" if mutant.where.startswith("lessons.") else "metautil"


def module_of(mutant: Mutant) -> list[str]:
    """The module's name in its package, taken apart: as long as there is such a file or folder."""
    names = mutant.where.removeprefix("lessons.").split(".")
    package = ROOT / package_of(mutant)
    return next(names[:i] for i in range(1, len(names)) if package.joinpath(*names[:i]).with_suffix(".py").exists())


def path_of(mutant: Mutant) -> str:
    return f"{package_of(mutant)}/{'/'.join(module_of(mutant))}.py"


def tree_of(mutant: Mutant) -> ast.Module:
    return ast.parse((ROOT / path_of(mutant)).read_text(encoding="utf-8"))


def place(tree: ast.Module, mutant: Mutant) -> ast.AST:
    """The function or method that the mutant changes."""
    names = mutant.where.removeprefix("lessons.").split(".")
    for name in names[len(module_of(mutant)) :]:
        found = [node for node in tree.body if isinstance(node, ast.FunctionDef | ast.ClassDef) and node.name == name]
        assert found, f"{mutant.where}: there is no {name!r}; say where it is now"
        (tree,) = found
    return tree


def mutate(tree: ast.Module, mutant: Mutant) -> None:
    """Make the one change in the tree."""
    change = Change(mutant.old, mutant.new)
    change.visit(place(tree, mutant))
    count = len(change.lines)
    assert count == 1, f"{mutant.old!r} is in {mutant.where} {count} times, lines {change.lines}; once is expected"


def build(mutant: Mutant, folder: Path) -> Path:
    """Copy the package into ``folder`` with the one change; return where it lies."""
    package = package_of(mutant)
    shutil.copytree(ROOT / package, folder / package, ignore=shutil.ignore_patterns("__pycache__"))
    tree = tree_of(mutant)
    mutate(tree, mutant)
    (folder / path_of(mutant)).write_text(ast.unparse(tree), encoding="utf-8")
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


def failures(server: subprocess.Popen, folder: Path, mutant: Mutant) -> list[str]:
    """Run a test file, test or notebook against the package of ``folder``; the first failure's message, or none."""
    report, output = folder / "report.xml", folder / "output.txt"
    options = ["-x", "-q", "-p", "no:cacheprovider", "-p", "no:xdist", f"--junitxml={report}"]
    options += ["-c", str(ROOT / "pyproject.toml"), "-o", f"pythonpath={folder} {ROOT}"]
    if mutant.caught_by.endswith(".ipynb"):
        options += ["--nbval", "--nbval-current-env"]
    order = {
        "folder": str(folder),
        "output": str(output),
        "environment": {"PYTHONPATH": f"{folder}{os.pathsep}{ROOT}"},
        "path": [str(folder), str(ROOT)],
        "package": package_of(mutant),
        # A test that lies in the package is taken from the copy: Python has one package of a name.
        "arguments": [*options, str((folder if mutant.caught_by.startswith("lessons/") else ROOT) / mutant.caught_by)],
    }
    print(json.dumps(order), file=server.stdin, flush=True)
    code = int(server.stdout.readline())
    said = output.read_text(encoding="utf-8")
    assert code in (0, 1), said
    return [element.get("message") + (element.text or "") for element in ET.parse(report).iter("failure")]


def is_a_finding(message: str) -> bool:
    """Whether a failure is an assertion or a difference of outputs, not a crash."""
    if "Cell outputs differ" in message or "cell outputs differ" in message:
        return True
    return "AssertionError" in message.splitlines()[0] or message.startswith("assert")


@each_mutant
def test_mutant_is_caught(mutant, tmp_path, server):
    folder = build(mutant, tmp_path)
    found = failures(server, folder, mutant)
    assert found, f"{mutant.caught_by} is green although: {mutant.name}"
    assert is_a_finding(found[0]), f"{mutant.caught_by} crashed instead of finding a difference:\n{found[0][:2000]}"


class Edited(ast.NodeTransformer):
    """A function after other people's work: all local variables renamed, an assertion before each statement."""

    def __init__(self, edited: ast.FunctionDef) -> None:
        arguments = [node.arg for node in ast.walk(edited) if isinstance(node, ast.arg)]
        names = [node.id for node in ast.walk(edited) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)]
        inner = [node.name for node in ast.walk(edited) if isinstance(node, ast.FunctionDef)]
        parameters = [node.arg for node in ast.walk(edited.args) if isinstance(node, ast.arg)]
        self.local = {*arguments, *names, *inner} - {*parameters, edited.name}

    def visit(self, node: ast.AST) -> ast.AST:
        for field in {"id", "name", "arg"} & set(node._fields):
            if not isinstance(node, ast.keyword) and getattr(node, field) in self.local:
                setattr(node, field, f"new_{getattr(node, field)}")
        if isinstance(getattr(node, "body", None), list):
            node.body = [line for statement in node.body for line in (code("assert 1 + 1"), statement)]
        return self.generic_visit(node)


@each_mutant
def test_mutant_survives_edits(mutant):
    """To edit and then to mutate is to mutate and then to edit."""
    edited = tree_of(mutant)
    Edited(place(edited, mutant)).visit(place(edited, mutant))
    mutate(edited, mutant)
    other = tree_of(mutant)
    mutate(other, mutant)
    Edited(place(other, mutant)).visit(place(other, mutant))
    assert ast.unparse(edited) == ast.unparse(other) != ast.unparse(tree_of(mutant))


@pytest.mark.parametrize(
    ("where", "old", "says"),
    [
        ("updates.sgd", "_eta / _g", r"is in updates.sgd 0 times, lines \[\]"),
        ("updates.adam", "_m / (1 - _beta**_k)", r"is in updates.adam 2 times, lines \[\d+, \d+\]"),
        ("updates.sdg", "_a", "there is no 'sdg'"),
    ],
)
def test_place_that_is_not_one_is_named(where, old, says):
    mutant = Mutant("", where, old, "0", "")
    with pytest.raises(AssertionError, match=says):
        mutate(tree_of(mutant), mutant)
