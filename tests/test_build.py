"""The build of notebooks from text: `tools.build`, and `tools.course` that runs them."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest

from tools import build, course
from tools.build import BuildError
from tools.course import SAVED_BARS

pytestmark = pytest.mark.slow
NAME = "07_small.md"
LESSON = """---
jupytext:
  formats: md:myst,ipynb
  text_representation: {extension: .md, format_name: myst}
kernelspec: {display_name: Python 3, language: python, name: python3}
authors: [someone]
---

# 07 · Small

A stored number: {{sweep.λ=3.accuracy}}. See [the start](07_small.ipynb),
[the readme](../README.md#top), `](x)`, `[a](12_rules.ipynb)`, [the `rules`](12_rules.ipynb#2-·-Rules).

```{code-cell} ipython3
:tags: [figure]

import base64, io
import ipywidgets
from IPython.display import display
from matplotlib.figure import Figure
figure = Figure(figsize=(1, 1))
figure.add_subplot().plot([0, 1])
file = io.BytesIO()
figure.savefig(file)
faces = {"application/vnd.jupyter.widget-view+json": {"version_major": 2, "version_minor": 0,
         "model_id": ipywidgets.IntSlider().model_id},
         "image/png": base64.b64encode(file.getvalue()).decode(), "text/plain": "η = 0.1 · f = 0.23"}
display(faces, raw=True, metadata={"image/png": {"alt": "A line that rises."}})
```

Bars: one with a label, one that stops early, one that vanishes, one that takes its time and is never closed.

```{code-cell} ipython3
from tqdm.auto import tqdm
for _ in tqdm(range(12), desc="epochs"):
    pass
for k in tqdm(range(12)):
    if k == 3:
        break
for _ in tqdm(range(4), leave=False):
    pass
bar = tqdm(total=10, desc="half")
bar.update(3)
_ = bar.refresh()
```

Streams, in two pieces.

```{code-cell} ipython3
import sys
for k in range(3):
    print("piece", k)
    sys.stdout.flush()
```

### Exercise 07.1 · Halve (easy)

Write half of x; the markdown may speak of ### BEGIN SOLUTION itself.

```{code-cell} ipython3
halve = None
### BEGIN SOLUTION
def halve(x):
    return x / 2
### END SOLUTION
print("not attempted" if halve is None else halve(3.0))
```
"""


def quote(key: str) -> str:
    return {"sweep.λ=3.accuracy": "(86.9 ± 0.4)%"}[key]


@pytest.fixture(autouse=True, scope="module")
def stored_results():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("benchmarks.store.quote", quote)
        yield


def git(folder: Path, *arguments: str) -> str:
    environment = {key: value for key, value in os.environ.items() if not key.startswith("GIT_")}
    person = ["-c", "user.name=t", "-c", "user.email=t@localhost", "-c", "commit.gpgsign=false"]
    command = ["git", *person, *arguments]
    return subprocess.run(command, cwd=folder, env=environment, check=True, capture_output=True, text=True).stdout


class Course:
    """A small repository with one lesson, built and committed."""

    def __init__(self, root: Path) -> None:
        self.root, self.lessons, self.out = root, root / "lessons", root / "notebooks"
        self.source = self.lessons / "lesson_07" / NAME
        self.student, self.solved = build.notebooks_of(self.source, self.out)

    def build(self, **options) -> list[Path]:
        return build.build(self.lessons, self.out, **options)

    def edit(self, text: str) -> None:
        self.source.parent.mkdir(parents=True, exist_ok=True)
        self.source.write_text(text, encoding="utf-8")

    def main(self, *arguments: str) -> int:
        return build.main([*arguments, "--lessons", str(self.lessons), "--out", str(self.out)])

    def bytes(self) -> list[bytes]:
        return [self.student.read_bytes(), self.solved.read_bytes()]


@pytest.fixture(scope="module")
def original(tmp_path_factory) -> Course:
    small = Course(tmp_path_factory.mktemp("course"))
    small.edit(LESSON)
    assert small.build() == [small.student, small.solved]
    git(small.root, "init", "-q")
    git(small.root, "add", "lessons", "notebooks")
    git(small.root, "commit", "-q", "-m", "built")
    return small


@pytest.fixture
def small(original: Course, tmp_path: Path) -> Course:
    """A copy of the built repository for each test to change."""
    shutil.copytree(original.root, tmp_path / "copy")
    return Course(tmp_path / "copy")


def cells(path: Path) -> list:
    return nbformat.read(path, as_version=4).cells


def test_student_version_has_stub_and_solved_version_only_loses_markers(original):
    last = 'print("not attempted" if halve is None else halve(3.0))'
    sources = {
        original.student: (f"halve = None\n...\n{last}", "not attempted\n"),
        original.solved: (f"halve = None\ndef halve(x):\n    return x / 2\n{last}", "1.5\n"),
    }
    for path, (source, said) in sources.items():
        assert [cell.id for cell in cells(path)] == [f"l07-c{k:03d}" for k in range(8)]
        *_, prose, exercise = cells(path)
        assert "speak of ### BEGIN SOLUTION itself" in prose.source
        assert (exercise.source, exercise.outputs[0].text) == (source, said)


def test_placeholder_is_filled_and_links_lead_from_both_folders(original):
    for path, up in ((original.student, "../"), (original.solved, "../../")):
        source = cells(path)[0].source
        assert "A stored number: (86.9 ± 0.4)%." in source
        assert "(07_small.ipynb)" in source and "`](x)`" in source and f"({up}README.md#top)" in source
        assert "`[a](12_rules.ipynb)`, the `rules` (planned)." in source


def test_indents_braces_in_code_and_links_with_a_wrong_name_stay():
    solution = "### BEGIN SOLUTION\n    a = 1\n    ### END SOLUTION"
    text = f"def f():\n    a = None\n    {solution}\n    return f'{{{{a}}}}'"
    cell = f"```{{code-cell}}\n{text}\n```\n"
    assert build.fill(cell, NAME) == cell
    assert build.generate(cell, NAME, False)[0].source == text.replace(solution, "...")
    links = "[a](07_smal.ipynb), ![b](12_b.ipynb)"
    assert build.planned(links, {"07"}) == links


def test_planned_lesson_becomes_a_link_when_it_is_there(small):
    assert build.stale(small.source, small.out) == ""
    (small.lessons / "lesson_12").mkdir()
    (small.lessons / "lesson_12" / "12_rules.md").write_text("# 12 · Rules\n", encoding="utf-8")
    assert "[the `rules`](12_rules.ipynb#2-·-Rules)" in build.text_of(small.source)
    assert "changed" in build.stale(small.source, small.out)
    assert [path.stem for path in build.lessons_in(small.lessons)] == ["07_small", "12_rules"]


@pytest.mark.parametrize("end", ["", "### BEGIN SOLUTION\n"])
def test_mistakes_name_lesson_line_and_place(end):
    with pytest.raises(BuildError, match=r"07_small\.md, line 2: .*\{\{sweep\.λ=9\.accuracy\}\}"):
        build.fill("\n{{sweep.λ=9.accuracy}}\n", NAME)
    with pytest.raises(BuildError, match=r"07_small\.md, line 3, cell l07-c000: .*solution"):
        build.generate(f"\n```{{code-cell}} ipython3\nx = None\n### BEGIN SOLUTION\nx = 1\n{end}```\n", NAME, True)


def test_nothing_of_jupytext_widgets_time_or_person_is_saved(original):
    for path in (original.student, original.solved):
        notebook = nbformat.read(path, as_version=4)
        about = dict(notebook.metadata)
        assert set(about.pop("metautil")) == {"digest", "written"}
        assert about == {"kernelspec": build.KERNEL, "language_info": {"name": "python"}}
        assert [cell.metadata for cell in notebook.cells] == [{}, {"tags": ["figure"]}, *[{}] * 6]
        outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
        assert len(outputs) == 7
        assert not any(build.WIDGET_VIEW in output.get("data", {}) for output in outputs)


def test_outputs_keep_pictures_and_text_and_nothing_of_when_they_were_made(original):
    (picture,), bars, (stream,) = (cells(original.student)[k].outputs for k in (1, 3, 5))
    assert set(picture.data) == {"image/png", "text/plain"}
    assert picture.data["text/plain"] == "η = 0.1 · f = 0.23"
    assert picture.metadata["image/png"]["alt"] == "A line that rises."
    of = ["epochs: progress bar, 12", "progress bar, 12", "progress bar, 4", "half: progress bar, 10"]
    assert [bar.data for bar in bars] == [{"text/plain": f"{text} steps"} for text in of]
    assert stream.text == "piece 0\npiece 1\npiece 2\n"


def test_second_build_does_nothing_and_forced_build_gives_the_same_bytes(original, small, capsys):
    before = small.bytes()
    assert small.build() == []
    assert small.build(force=True) == [small.student, small.solved]
    assert small.bytes() == before == original.bytes()


def test_changed_text_builds_again_over_own_notebooks(small):
    small.edit(LESSON.replace("in two pieces", "in three pieces"))
    assert "changed" in build.stale(small.source, small.out)
    assert small.build() == [small.student, small.solved]
    assert build.stale(small.source, small.out) == ""
    assert "M notebooks" in git(small.root, "status", "--porcelain")
    build.refuse_to_lose_work(small.student)  # not committed, but the build's own


def test_missing_damaged_and_disagreeing_notebooks_are_stale(small):
    assert build.stale(small.source, small.out) == ""
    text = small.solved.read_text(encoding="utf-8")
    small.solved.write_text(text.replace("return x / 2", "return x / 3"), encoding="utf-8")
    assert "disagrees" in build.stale(small.source, small.out)
    small.solved.write_text(text[:1000], encoding="utf-8")
    assert "cannot be read" in build.stale(small.source, small.out)
    small.solved.unlink()
    assert "missing" in build.stale(small.source, small.out)


def test_disagreements_of_cells_and_of_their_number_are_found(small):
    assert build.disagreements(small.source, small.solved) == []
    text = small.solved.read_text(encoding="utf-8")
    for old, new in {"x / 2": "x / 3", "l07-c003": "l07-c999", '"figure"': '"picture"', "# 07 · Small": "# 07"}.items():
        small.solved.write_text(text.replace(old, new), encoding="utf-8")
        assert len(build.disagreements(small.source, small.solved)) == 1, old
    notebook = nbformat.read(small.student, as_version=4)
    notebook.cells.pop()
    nbformat.write(notebook, small.student)
    assert "7 cells, the source gives 8" in build.disagreements(small.source, small.student)[0]


def test_refuses_to_overwrite_work_of_others(small):
    small.edit(LESSON.replace("in two pieces", "in three pieces"))
    mine = small.student.read_text(encoding="utf-8").replace("not attempted", "my own answer")
    small.student.write_text(mine, encoding="utf-8")
    with pytest.raises(BuildError, match=r"not committed.*git restore .*07_small\.ipynb.*FORCE=1"):
        small.build()
    git(small.root, "add", "notebooks")
    with pytest.raises(BuildError, match="not committed"):  # staged is not committed
        small.build()
    assert small.student.read_text(encoding="utf-8") == mine
    git(small.root, "commit", "-q", "-m", "mine")
    build.refuse_to_lose_work(small.student)
    small.student.write_text(mine.replace("my own", "my other"), encoding="utf-8")
    small.build(force=True)
    assert "in three pieces" in small.student.read_text(encoding="utf-8")


def test_refuses_to_overwrite_where_there_is_no_git_to_ask(small):
    shutil.rmtree(small.root / ".git")
    build.refuse_to_lose_work(small.student)  # the build's own
    for damage in (small.student.read_text("utf-8").replace("not attempted", "my answer"), "{"):
        small.student.write_text(damage, "utf-8")
        with pytest.raises(BuildError, match="not committed"):
            build.refuse_to_lose_work(small.student)


@pytest.mark.parametrize(
    "code",
    [
        "1 / 0",
        "out = ipywidgets.Output()\nwith out:\n    1 / 0",
        "button = ipywidgets.Button()\nbutton.on_click(lambda _: 1 / 0)\nbutton.click()",
    ],
)
def test_failing_cell_stops_the_build_and_leaves_the_old_notebooks(small, code, monkeypatch):
    """Also where the error is in a widget's callback."""
    monkeypatch.setattr("tools.course.PATIENCE", 2)  # now and then such a kernel's answer is lost, and waited for
    before = small.bytes()
    small.edit(f"```{{code-cell}} ipython3\nimport ipywidgets\n{code}\n```\n")
    with pytest.raises(
        BuildError, match=r"07_small\.md, student's version, cell l07-c000: ZeroDivisionError: division"
    ):
        small.build()
    assert small.bytes() == before


def test_write_that_fails_leaves_the_old_files(small, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    before = small.bytes()
    monkeypatch.setattr(build, "_executed", lambda *_: "new")
    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(OSError, match="No space"):
        small.build(force=True)
    assert small.bytes() == before
    assert sorted(path.name for path in small.out.iterdir()) == ["07_small.ipynb", "solutions"]


def test_digest_depends_on_text_and_names_used_and_on_nothing_else(tmp_path):
    def of(more: str = "", code: str = "def risk(): return 1") -> str:
        (tmp_path / "metautil").mkdir(exist_ok=True)
        (tmp_path / "metautil/risks.py").write_text(f"{code}\n", encoding="utf-8")
        text = f"```{{code-cell}} ipython3\nfrom metautil import risks\nrisks.risk()\n```\n{more}"
        return build.digest(text, NAME, tmp_path)

    assert of(code="def risk():\n    # one\n    return 1\n\ndef other(): return 2") == of()
    assert len({of(), of("More."), of(code="def risk(): return 2")}) == 3


def test_this_programs_share_in_the_outputs_is_counted():
    makers = build.names_used({"": build.MAKERS}, build.ROOT, ("tools",))
    assert {"tools.build.clean", "tools.build.generate", "tools.course.run", "tools.course.SAVED_BARS"} < set(makers)
    assert not {"tools.build.main", "tools.build.stale", "tools.build"} & set(makers)


def test_lessons_are_found_by_their_numbers(original):
    with pytest.raises(BuildError, match=r"No lesson 9 .*there are: 07_small"):
        build.lessons_in(original.lessons, "9")
    assert build.lessons_in(original.lessons, "7") == [original.source]


def test_check_says_what_would_be_built(small, capsys):
    for status, says in ((0, "up to date"), (1, f"would be built: {small.student} is missing")):
        assert small.main("--check") == status
        assert capsys.readouterr().out == f"07_small: {says}\n"
        small.student.unlink(missing_ok=True)
    assert not small.student.exists()


def test_strict_nbval_accepts_the_built_notebook_and_sees_one_changed_number(small):
    text = small.student.read_text(encoding="utf-8")
    assert '"η = 0.1 · f = 0.23"\n' in text and "epochs: progress bar, 12" in text
    text = text.replace('f = 0.23"\n', 'f = 0.24"\n').replace("progress bar, 12", "progress bar, 13")
    (small.out / "08_tampered.ipynb").write_text(text, encoding="utf-8")
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--color=no", f"--rootdir={small.root}"]
    command += ["--nbval", "--nbval-current-env", "notebooks"]
    result = subprocess.run(command, cwd=small.root, env=os.environ | SAVED_BARS, capture_output=True, text=True)
    failed = re.findall(r"^FAILED notebooks/(\w+)\.ipynb::(?:ipynb::)?Cell (\d)", result.stdout, re.MULTILINE)
    assert sorted(failed) == [("08_tampered", "0"), ("08_tampered", "1")], result.stdout
    assert "2 failed, 10 passed" in result.stdout


def test_course_reports_each_notebook_and_fails_on_a_swallowed_error(small, capsys):
    before = small.bytes()
    bad = "import ipywidgets\nwith ipywidgets.Output():\n    1 / 0"
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("1 + 1"), nbformat.v4.new_code_cell(bad)])
    nbformat.write(notebook, small.out / "08_bad.ipynb")
    (small.out / "09_cut.ipynb").write_text("{", encoding="utf-8")
    assert course.main(["--folder", str(small.out)]) == 1
    good, failed, cut, summary = capsys.readouterr().out.splitlines()
    name, seconds, _, memory, _, result = good.split()
    assert (name, result) == ("07_small", "ok")
    assert float(seconds) > 0 and float(memory) > 10
    assert failed.startswith("08_bad") and failed.endswith("ZeroDivisionError: division by zero")
    assert notebook.cells[1].id in failed
    assert "cannot be read" in cut
    assert summary.startswith("3 notebooks in ") and summary.endswith("2 failed")
    assert small.bytes() == before


def test_course_takes_solutions_only_when_asked_and_says_where_there_is_nothing(original, tmp_path, capsys):
    assert course.chosen(original.out, solutions=False) == [original.student]
    assert course.chosen(original.out, solutions=True) == [original.student, original.solved]
    assert course.main(["--folder", str(tmp_path)]) == 2
    assert "make notebooks" in capsys.readouterr().err


def test_interruption_leaves_the_old_notebooks_and_says_so(small, capsys, monkeypatch):
    def interrupted(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(build, "run", interrupted)
    before = small.bytes()
    assert small.main("--force") == 130
    assert "interrupted" in capsys.readouterr().err
    assert small.bytes() == before


def test_preview_opens_the_students_notebook(small, monkeypatch):
    opened = []
    monkeypatch.setattr("tools.lab.main", lambda arguments: opened.append(arguments) or 0)
    assert small.main("--only", "7", "--preview") == 0
    assert opened == [[str(small.student)]]
