"""Which edits make a notebook out of date: `tools.dependencies`."""

from __future__ import annotations

from pathlib import Path

import pytest

from tools import build, dependencies
from tools.build import BuildError

MODULES = {
    "metautil/__init__": "from metautil.settings import begin",
    "metautil/settings": "import logging\n\nlogging.disable()\n\ndef begin(seed): return seed",
    "metautil/updates": """
        '''Rules.'''
        from metautil.tables import LEARNERS, register
        RATE = 0.1
        SPARE = 7
        SIZES = [1]
        SIZES += [2]
        TABLE = {"sgd": None}
        TABLE["sgd"] = 1

        def sgd(theta):
            '''Step.'''
            step = RATE * theta  # the step
            return theta - _half(step)

        def _half(x): return x / 2

        def momentum(theta): return theta

        @register
        def adam(theta): return SIZES
        """,
    "metautil/tables": """
        from metautil.learners import maml, protonet
        LEARNERS = {"maml": maml, "protonet": protonet}

        def register(function): return function
        """,
    "metautil/learners": """
        from __future__ import annotations
        from . import models
        from .models.nets import Net as Model

        def maml(): return Model().forward()

        def protonet():
            from metautil.late import distance
            return distance()

        def unused(): return models.nets.spare()
        """,
    "metautil/models/__init__": "from .nets import Net, conv",
    "metautil/models/nets": """
        class Base:
            def forward(self): return self.width()
            def width(self): return 3

        class Net(Base):
            depth: int = 4

        def conv(): return 1
        def spare(): return 2
        """,
    "metautil/late": "def distance(): return 0\ndef other(): return 1",
    "metautil/sliders": "LOOK = 'round'\ndef show(scene): return LOOK",
    "metautil/named": "def by_name(): return 1\ndef not_named(): return 2\nif __name__ == '__main__': print(3)",
    "lessons/lesson_03/__init__": "",
    "lessons/lesson_03/checks": "from lessons.shared import engine\ncheck = engine.Exercise('Look at the sign.')",
    "lessons/lesson_03/figures": "from ..shared.engine import *\ndef bowl(): return 1\ndef cup(): return 2",
    "lessons/lesson_04/checks": "from lessons.shared.engine import Exercise\ncheck = Exercise('Look at the sum.')",
    "lessons/shared/engine": """
        class Exercise:
            def __init__(self, hint): self.hint = hint
            def judge(self, answer): return self.hint
        """,
}


def lay(root: Path, **edits: tuple[str, str]) -> Path:
    """Write the modules, each edit a module's path with what is replaced in it, and by what."""
    for name, text in MODULES.items():
        path = root / f"{name}.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        old, new = edits.get(name, ("", ""))
        lines = text.replace("\n        ", "\n").strip()
        assert old in lines, f"{old!r} is not in {name}"
        path.write_text(lines.replace(old, new) if old else lines, encoding="utf-8")
    return root


def used(root: Path, *cells: str) -> dict[str, str]:
    return dependencies.names_used({f"cell {k}": cell for k, cell in enumerate(cells)}, root)


SGD = "from metautil.updates import sgd\nsgd(1)"
CHECK = "from lessons.lesson_03 import checks as ask\nask.check.judge(None)"
STALE = [  # code of a notebook; the module that is edited; what is replaced, by what
    (SGD, "metautil/updates", "step", "leap"),
    (SGD, "metautil/updates", "RATE = 0.1", "RATE = 0.2"),
    (SGD, "metautil/updates", "x / 2", "x / 3"),
    (SGD, "metautil/updates", '"sgd"] = 1', '"sgd"] = 2'),
    (SGD, "metautil/updates", "return SIZES", "return 1"),  # what a decorator of these packages is given
    (SGD, "metautil/updates", "SIZES += [2]", "SIZES += [3]"),
    (SGD, "metautil/settings", "logging.disable()", "logging.disable(10)"),  # done on import of a parent's import
    ("import metautil.updates\nmetautil.updates.sgd(1)", "metautil/updates", "x / 2", "x / 3"),
    ("import metautil.updates as u\nu.sgd(1)", "metautil/updates", "x / 2", "x / 3"),
    ("from metautil import updates\nupdates.sgd(1)", "metautil/updates", "x / 2", "x / 3"),
    ("def f():\n    from metautil import updates\n    return updates.sgd(1)", "metautil/updates", "x / 2", "x / 3"),
    ("%matplotlib inline\nimport metautil\nmetautil.begin(3)", "metautil/settings", "return seed", "return 1"),
    ("from metautil import begin\nbegin(3)", "metautil/settings", "return seed", "return 1"),
    ("from metautil import updates\nvars(updates)", "metautil/updates", "SPARE = 7", "SPARE = 8"),
    ("from metautil import updates\ngetattr(updates, 'x')", "metautil/updates", "return theta\n", "return 0\n"),
    ("from metautil.updates import *", "metautil/updates", "SPARE = 7", "SPARE = 8"),
    ("import importlib\nimportlib.import_module('metautil.named')", "metautil/named", "return 2", "return 3"),
    ("from metautil.tables import LEARNERS\nLEARNERS['maml']()", "metautil/late", "return 0", "return 1"),
    ("from metautil.tables import LEARNERS\nLEARNERS['maml']()", "metautil/models/nets", "return 3", "return 5"),
    ("from metautil.learners import maml\nmaml()", "metautil/models/nets", "depth: int = 4", "depth: int = 5"),
    ("from metautil import models\nmodels.conv()", "metautil/models/nets", "return 1", "return 0"),
    ("from metautil.learners import unused as u\nf = u", "metautil/models/nets", "return 2", "return 0"),
    (CHECK, "lessons/lesson_03/checks", "the sign", "its sign"),
    (CHECK, "lessons/shared/engine", "return self.hint", "return None"),
    ("from lessons.lesson_03.figures import bowl", "lessons/shared/engine", "return self.hint", "return None"),
    ("from metautil.sliders import show\nshow(1)", "metautil/sliders", "round", "square"),
]
FRESH = [
    ("from metautil.updates import sgd", "metautil/updates", "x / 2", "x / 3"),
    (SGD, "metautil/updates", "Step.", "A step."),
    (SGD, "metautil/updates", "# the step", "# a step"),
    (SGD, "metautil/updates", "Rules.", "Update rules."),
    (SGD, "metautil/updates", "return theta\n", "return 0\n"),
    (SGD, "metautil/updates", "SPARE = 7", "SPARE = 8"),
    ("import metautil.updates\nmetautil.begin(3)", "metautil/updates", "x / 2", "x / 3"),
    ("from metautil import models\nmodels.conv()", "metautil/models/nets", "return 3", "return 5"),
    ("from metautil.tables import LEARNERS\nLEARNERS['maml']()", "metautil/late", "return 1", "return 2"),
    ("from metautil.learners import maml\nmaml()", "metautil/late", "return 0", "return 1"),
    ("import importlib\nimportlib.import_module('metautil.named').by_name", "metautil/late", "return 1", "return 2"),
    ("from metautil import named\nnamed.by_name()", "metautil/named", "print(3)", "print(4)"),
    (CHECK, "lessons/lesson_04/checks", "the sum", "its sum"),
    ("from lessons.lesson_03 import figures\nfigures.bowl()", "lessons/lesson_03/figures", "return 2", "return 3"),
    ("import torch\ntorch.nn.Linear('metautil and more')", "metautil/updates", "x / 2", "x / 3"),
]


@pytest.mark.parametrize(
    ("code", "module", "old", "new", "stale"),
    [(*edit, True) for edit in STALE] + [(*edit, False) for edit in FRESH],
)
def test_edit_makes_stale(tmp_path, code, module, old, new, stale):
    before = used(lay(tmp_path), code)
    assert (used(lay(tmp_path, **{module: (old, new)}), code) != before) is stale


def test_only_what_is_used_is_named(tmp_path):
    code = "from metautil import models", "net = models.Net()"
    assert used(lay(tmp_path), *code) == {
        "metautil.models.nets.Base": "class Base:\n\n    def forward(self):\n        return self.width()\n\n"
        "    def width(self):\n        return 3",
        "metautil.models.nets.Net": "class Net(Base):\n    depth: int = 4",
        "metautil.settings": "logging.disable()",
    }


def test_live_modules_do_not_count(tmp_path, monkeypatch):
    code = "from metautil import models, sliders\nsliders.show(models.Net)"
    assert "metautil.sliders.show" in used(lay(tmp_path), code)
    for live in ("metautil.sliders", "metautil.models"):
        monkeypatch.setattr(dependencies, "LIVE", (live,))
        assert not any(name.startswith(live) for name in used(tmp_path, code))


@pytest.mark.parametrize(
    ("module", "wrong"), [("metautil/updates", "metautil/updates.py, line 3"), (None, "cell l07-c")]
)
def test_what_is_not_python_is_named(tmp_path, module, wrong):
    lay(tmp_path, **({module: ("RATE = 0.1", "RATE = = 1")} if module else {}))
    cell = SGD if module else "a = = 1"
    with pytest.raises(BuildError, match=rf"{wrong}.*not Python"):
        build.digest(f"```{{code-cell}} ipython3\n{cell}\n```\n", "07_small.md", tmp_path)
