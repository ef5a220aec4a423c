"""What every lesson must obey, each rule a function from a lesson (or its saved notebook) to problems.

The rules hold the lesson contract (structure, exercises, figures), the prose (tone, small steps, numbers with
a source), the Markdown (what JupyterLab and code-hosting pages both draw), and what is saved in notebooks.
``tests/test_lessons.py`` runs them on every lesson, and shows on small bad lessons that each of them bites.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from nbformat import NotebookNode

from tools.build import CODE, MARKDOWN_LINK, PLACEHOLDER, WIDGET_VIEW, parse, planned, sources

HEADINGS = (
    "What you will be able to do",
    "Before you start",
    "Time",
    "Exercises",
    "What to take away",
    "What comes next",
    "References",
)
GRADES = ("easy", "medium", "hard")
LONGEST_CELL = 12
LARGEST_NOTEBOOK = 1_500_000  # bytes
NBVAL_TAGS = (
    "nbval-ignore-output",
    "nbval-check-output",
    "nbval-raises-exception",
    "nbval-skip",
    "raises-exception",
)
NBVAL_COMMENTS = re.compile(r"^\s*#+\s*(NBVAL_\w+|PYTEST_VALIDATE_IGNORE_OUTPUT)\s*$", re.MULTILINE)
BEGIN, END = re.compile(r"^\s*#+ *BEGIN SOLUTION"), re.compile(r"^\s*#+ *END SOLUTION")
DISPLAY = re.compile(r"\$\$(.+?)\$\$", re.DOTALL)
TAG = re.compile(r"\\tag\{([^}]*)\}")
INLINE = re.compile(r"(?<![\\$])\$(?!\$)((?:\\.|[^$\\\n]|\n(?!\n))+?)\$")
HTML_COMMENT = re.compile(r"<!--.*?-->", re.DOTALL)
HEADING = re.compile(r"^(#{1,6}) +(.*?) *#*$", re.MULTILINE)
REFERENCE = re.compile(r"\((\d{1,2}\.\d{1,2})\)")
HTML_LINK = re.compile(r"<(?:a|img|source)\b[^>]*?\b(?:href|src)\s*=\s*[\"']([^\"']*)[\"'][^>]*>", re.IGNORECASE)
HTML_IMAGE = re.compile(r"<img\b[^>]*>", re.IGNORECASE)
ALT = re.compile(r"\balt\s*=\s*([\"'])(.*?)\1", re.DOTALL | re.IGNORECASE)
TONE = re.compile(r"\b(simply|obviously|just|trivially|of\s+course|clearly)\b", re.IGNORECASE)
NUMBER = r"\d(?:[\d.,]*\d)?"
LESSONS = re.compile(
    r"\blessons?\s+(\d\d?(?:(?:\s*[,–-]\s*(?:and\s+|or\s+)?|\s+(?:and|or|to)\s+)\d\d?)*)(?!\d|\.\d)(\s+\(planned\))?",
    re.IGNORECASE,
)
MEASURE_AFTER = re.compile(
    rf"{NUMBER}\s*-?(?:%|±|×(?!\s*{NUMBER})|(?:percent|per\s+cent|percentage|fold|times"
    rf"|seconds?|secs?|s|minutes?|mins?|min|hours?|hrs?|h|days?|ms|milliseconds?|microseconds?|µs|ns)(?!\w))",
    re.IGNORECASE,
)
MEASURE_BEFORE = re.compile(rf"(?:±\s*{NUMBER}|(?<![\d.\s])\s*×\s*{NUMBER})")
MEASURE_NEAR = re.compile(
    rf"(?:\b(?:accura(?:cy|cies|te)|faster|slower|quicker|speed-?up)\b(?:\W+\w+){{0,3}}?\W+{NUMBER}(?![\w.]*\d)"
    rf"|{NUMBER}\)?(?:\W+\w+){{0,3}}?\W+(?:accura(?:cy|cies|te)|faster|slower|quicker|speed-?up)\b)",
    re.IGNORECASE,
)
NOT_NOTEBOOK = {  # Markdown that one of the two places does not draw, and what to write instead
    r"^[ \t]*(?:```+|~~~+|:::+)\s*\{": "a MyST directive; write plain Markdown",
    r"^:::": "a MyST directive; write plain Markdown",
    r"\{[\w:+.-]+\}`": "a MyST role; write plain Markdown",
    r"^\([\w:.-]+\)=\s*$": "a MyST label; headings and \\tag numbers are what can be referred to",
    r"^%(?!%)": "a MyST comment, which is drawn as text; write <!-- -->",
    r"^> *\[!": "an alert that only some pages draw; write a quotation with a bold first word",
    r"\[\^[^\]]+\]": "a footnote, which Lab does not draw; write it in the text",
    r"\\\(|\\\[": "mathematics between \\( or \\[; write $ or $$",
    r"^[ \t]*```+\s*math": "a math fence, which Lab does not draw; write $$",
    r"\\(?:label|eqref|ref)\{": "a LaTeX label or reference; write \\tag{3.1} and (3.1)",
    r"\$`|`\$": "mathematics in $`...`$, which Lab does not draw; write $...$",
}


@dataclass(frozen=True)
class Lesson:
    """A lesson's source, read.

    Attributes
    ----------
    name : str
        File name, such as ``03_the_gradient_update.md``.
    cells : list of NotebookNode
        Solutions and placeholders included; ``metadata["line"]`` is the line of the source.
    """

    name: str
    cells: list[NotebookNode]

    @property
    def number(self) -> int:
        return int(self.name[:2])

    def markdown(self) -> str:
        """All Markdown cells as one text."""
        return "\n\n".join(cell.source for cell in self.cells if cell.cell_type == "markdown")

    def section(self, title: str) -> str:
        """Text below a second-level heading, up to the next one."""
        parts = re.split(r"^## +(.*?) *$", without_code(self.markdown()), flags=re.MULTILINE)
        return dict(zip(parts[1::2], parts[2::2], strict=True)).get(title, "")


def read(text: str, name: str) -> Lesson:
    """A lesson from its source, as written: placeholders are not filled."""
    return Lesson(name, parse(text, name))


# Taking Markdown apart


def without_code(source: str) -> str:
    """Markdown without fences, code spans and comments; line numbers stay."""
    blank = lambda match: "\n" * match.group(0).count("\n")  # noqa: E731
    return HTML_COMMENT.sub(blank, CODE.sub(blank, source))


def prose(source: str) -> str:
    """What is read as sentences: Markdown without code, mathematics, link targets and HTML tags."""
    text = DISPLAY.sub(" ", without_code(source))
    text = INLINE.sub("x", text)
    text = MARKDOWN_LINK.sub(lambda match: match.group(2), text)
    return re.sub(r"</?[A-Za-z][^>]*>|https?://\S+", " ", text)


def sentences(source: str) -> Iterator[str]:
    """Sentences of Markdown, white space normalised; a heading, list item or table cell ends one too."""
    text = DISPLAY.sub("\n\n", without_code(source))
    text = MARKDOWN_LINK.sub(lambda match: match.group(2), text)
    text = re.sub(r"</?[A-Za-z][^>]*>|https?://\S+", " ", text)
    text = INLINE.sub(lambda match: _spoken(match.group(1)), text)
    text = re.sub(r"^(?:#+ .*|\s*(?:[-*+]|\d+\.) .*|\|.*)$", lambda match: f"\n\n{match.group(0)}", text, flags=re.M)
    for block in re.split(r"\n\s*\n", text):
        pieces = block.split("|") if block.lstrip().startswith("|") else [block]
        for piece in pieces:
            piece = re.sub(r"^\s*(?:#+|[-*+]|\d+\.|>)\s+", "", piece)
            for sentence in re.split(r"(?<=[.?:;])\s+(?=\S)", " ".join(piece.replace("*", "").split())):
                if sentence:
                    yield sentence


def _spoken(formula: str) -> str:
    """Inline mathematics as text, so that no number hides in it."""
    for latex, sign in (
        (r"\%", "%"),
        (r"\pm", "±"),
        (r"\times", "×"),
        (r"\,", " "),
        (r"\ ", " "),
        ("~", " "),
    ):
        formula = formula.replace(latex, sign)
    return re.sub(r"\\(?:text|mathrm)\{([^}]*)\}", r"\1", formula)


def _where(lesson: Lesson, cell: NotebookNode, text: str = "", at: int = 0) -> str:
    return f"{lesson.name}, line {cell.metadata['line'] + text[:at].count(chr(10))}"


def _markdown_cells(lesson: Lesson) -> Iterator[NotebookNode]:
    return (cell for cell in lesson.cells if cell.cell_type == "markdown")


def _code_cells(lesson: Lesson) -> Iterator[NotebookNode]:
    return (cell for cell in lesson.cells if cell.cell_type == "code")


# The lesson contract


def headings(lesson: Lesson) -> list[str]:
    """The contract's headings, in order, with at least two numbered sections before the exercises."""
    found = HEADING.findall(without_code(lesson.markdown()))
    problems = []
    titles = [title for level, title in found if level == "#"]
    if len(titles) != 1 or not re.match(rf"{lesson.name[:2]} · \S", titles[0] if titles else ""):
        problems.append(f"{lesson.name}: one first-level heading '# {lesson.name[:2]} · Title' expected; has {titles}")
    seconds = [title for level, title in found if level == "##"]
    sections = [title for title in seconds if title not in HEADINGS]
    numbered = [re.match(r"(\d+) · \S", title) for title in sections]
    if [match and int(match[1]) for match in numbered] != list(range(1, len(sections) + 1)) or len(sections) < 2:
        problems.append(f"{lesson.name}: at least two sections '## 1 · Title', '## 2 · Title' expected; has {sections}")
    expected = [*HEADINGS[:3], *sections, *HEADINGS[3:]]
    if seconds != expected:
        problems.append(f"{lesson.name}: second-level headings {expected} are expected; has {seconds}")
    return problems


def opening(lesson: Lesson) -> list[str]:
    """Objectives mirror take-aways; minutes under Time, links under References, a map with "you are here"."""
    problems = []
    bullets = [len(re.findall(r"^[-*] ", lesson.section(title), re.MULTILINE)) for title in (HEADINGS[0], HEADINGS[4])]
    if bullets[0] != bullets[1] or not bullets[0]:
        problems.append(
            f"{lesson.name}: {bullets[0]} objectives and {bullets[1]} take-aways; as many of both, at least 1"
        )
    if not re.search(r"\d[^.]*\bmin(ute)?s?\b", PLACEHOLDER.sub("1", lesson.section("Time"))):
        problems.append(f"{lesson.name}: no minutes under Time")
    for title in ("Before you start", "What comes next"):
        if not prose(lesson.section(title)).strip():
            problems.append(f"{lesson.name}: nothing under {title}")
    if not any(target.startswith("http") for _, _, target in MARKDOWN_LINK.findall(lesson.section("References"))):
        problems.append(f"{lesson.name}: no link under References")
    maps = re.findall(r"^```mermaid\n(.*?)^```", lesson.markdown(), re.MULTILINE | re.DOTALL)
    node = re.compile(r"\w:::here\b|^\s*class\s+[\w, ]+\s+here\b", re.MULTILINE)
    if not any(node.search(drawn) and re.search(r"^\s*classDef\s+here\b", drawn, re.M) for drawn in maps):
        problems.append(f"{lesson.name}: no mermaid map with a node of class here ('classDef here ...')")
    return problems


def figures(lesson: Lesson) -> list[str]:
    """At least one figure with sliders; each with its own prediction before it and a target with a number."""
    events: list[tuple[str, NotebookNode]] = []
    problems = []
    for cell in lesson.cells:
        if cell.cell_type == "code":
            tagged = "figure" in cell.metadata.get("tags", [])
            slides = re.search(r"(?<!def )(?<!\w)(?:show|drive|draw_your_own)\(", cell.source) is not None
            if slides and not tagged:
                problems.append(f"{_where(lesson, cell)}: a cell that shows sliders is tagged figure")
            if tagged and slides:
                events.append(("figure", cell))
        else:
            for kind, rest in re.findall(r"^\*\*(Predict|Target)\.\*\*(.*(?:\n.+)*)", cell.source, re.MULTILINE):
                events.append((kind, cell))
                if kind == "Target" and not re.search(r"\d", rest):
                    problems.append(f"{_where(lesson, cell)}: the target names no number")
    if not any(kind == "figure" for kind, _ in events):
        problems.append(f"{lesson.name}: no cell tagged figure with show(...)")
    predictions = targets = shown = 0
    for kind, cell in events:
        predictions += kind == "Predict"
        targets += kind == "Target"
        shown += kind == "figure"
        if kind == "figure" and predictions < shown:
            problems.append(f"{_where(lesson, cell)}: no paragraph '**Predict.** ...' before this figure")
    if targets < shown:
        problems.append(f"{lesson.name}: {shown} figures with sliders and {targets} paragraphs '**Target.** ...'")
    return problems


class _ExerciseCell(NamedTuple):
    heading: str
    cell: NotebookNode


def _exercise_cells(lesson: Lesson) -> Iterator[_ExerciseCell]:
    heading = ""
    for cell in lesson.cells:
        if cell.cell_type == "markdown":
            for level, title in HEADING.findall(without_code(cell.source)):
                heading = title if level in ("##", "###") else heading
        elif any(BEGIN.match(line) for line in cell.source.splitlines()):
            yield _ExerciseCell(heading, cell)


def exercises(lesson: Lesson) -> list[str]:
    """At least three, numbered and graded; each names its answer before the marker and checks it after."""
    section = HEADING.findall(lesson.section("Exercises"))
    titles = [title for level, title in section if level == "###"]
    form = re.compile(rf"Exercise 0?{lesson.number}\.(\d+) · \S.* \(({'|'.join(GRADES)})\)")
    matches = [form.fullmatch(title) for title in titles]
    problems = []
    if not all(matches) or [int(match[1]) for match in matches if match] != list(range(1, len(titles) + 1)):
        problems.append(
            f"{lesson.name}: '### Exercise {lesson.name[:2]}.k · title (easy|medium|hard)', k = 1, 2, ..., "
            f"is expected; has {titles}"
        )
    if len(titles) < 3:
        problems.append(f"{lesson.name}: {len(titles)} exercises; at least three are expected")
    grades = [GRADES.index(match[2]) for match in matches if match]
    if grades != sorted(grades):
        problems.append(f"{lesson.name}: exercises go from easy to hard")
    cells = list(_exercise_cells(lesson))
    for title in titles:
        if not any(heading == title for heading, _ in cells):
            problems.append(f"{lesson.name}: {title!r} has no cell with ### BEGIN SOLUTION")
    for heading, cell in cells:
        where = _where(lesson, cell)
        if heading not in titles:
            problems.append(f"{where}: a solution outside an exercise (below {heading!r})")
        lines = cell.source.splitlines()
        begins = [i for i, line in enumerate(lines) if BEGIN.match(line)]
        ends = [i for i, line in enumerate(lines) if END.match(line)]
        if len(begins) != 1 or len(ends) != 1 or ends[0] < begins[0]:
            problems.append(f"{where}: one ### BEGIN SOLUTION and one ### END SOLUTION are expected")
            continue
        answers = re.findall(r"^(\w+) = None\b", "\n".join(lines[: begins[0]]), re.MULTILINE)
        if not answers:
            problems.append(f"{where}: no 'answer = None' before ### BEGIN SOLUTION")
        checked = set(re.findall(r"\bcheck_\w+\(([^)]*)", "\n".join(lines[ends[0] + 1 :])))
        for answer in answers or [""]:
            if not any(re.search(rf"\b{answer}\b", arguments) for arguments in checked):
                problems.append(f"{where}: no check_...({answer or 'answer'}) after ### END SOLUTION")
    return problems


def independence(lesson: Lesson) -> list[str]:
    """No cell uses a name that an earlier exercise's cell made: it would be None, or wrong, for a learner."""
    problems, learned = [], set()
    exercise = {id(cell) for _, cell in _exercise_cells(lesson)}
    for cell in _code_cells(lesson):
        try:
            tree = ast.parse(re.sub(r"^\s*[%!].*$", "", cell.source, flags=re.MULTILINE))
        except SyntaxError as error:
            problems.append(f"{_where(lesson, cell)}: not Python: {error}")
            continue
        names = [node for node in ast.walk(tree) if isinstance(node, ast.Name)]
        made = {node.id for node in names if isinstance(node.ctx, ast.Store)}
        made |= {node.name for node in tree.body if isinstance(node, ast.FunctionDef | ast.ClassDef)}
        used = {node.id for node in names if isinstance(node.ctx, ast.Load)}
        for name in sorted((used & learned) - made):
            problems.append(f"{_where(lesson, cell)}: uses {name}, which a learner makes in an exercise")
        learned = learned | made if id(cell) in exercise else learned - made
    return problems


def small_steps(lesson: Lesson) -> list[str]:
    """Code cells of at most 12 lines, blank ones and solutions not counted, each with prose before it."""
    problems = []
    for index, cell in enumerate(lesson.cells):
        if cell.cell_type != "code":
            continue
        count, solution = 0, False
        for line in cell.source.splitlines():
            solution = (solution or bool(BEGIN.match(line))) and not END.match(line)
            count += bool(line.strip()) and not solution and not END.match(line)
        if count > LONGEST_CELL:
            problems.append(f"{_where(lesson, cell)}: {count} lines of code; at most {LONGEST_CELL}")
        before = lesson.cells[index - 1] if index else None
        last = before.source.rstrip().split("\n\n")[-1] if before is not None else ""
        if before is None or before.cell_type != "markdown" or len(HEADING.sub("", prose(last)).split()) < 3:
            display = before is not None and before.cell_type == "markdown" and "$$" in last
            if not display:
                problems.append(f"{_where(lesson, cell)}: no prose right before this code cell")
    return problems


# Prose and Markdown


def tone(lesson: Lesson) -> list[str]:
    """No exclamation marks and none of the words that tell a reader that something is easy."""
    problems = []
    for cell in _markdown_cells(lesson):
        text = prose(cell.source)
        problems += [f"{_where(lesson, cell)}: the word {match[0]!r}" for match in TONE.finditer(text)]
        problems += [f"{_where(lesson, cell)}: an exclamation mark"] * ("!" in text)
    return problems


def markdown(lesson: Lesson) -> list[str]:
    """Only Markdown that JupyterLab and code-hosting pages both draw."""
    problems = []
    for cell in _markdown_cells(lesson):
        outside = re.sub(r"(?<![`}$])`(?!`)[^`\n]*`(?![`$])", "", cell.source)  # plain code spans; roles stay
        fences = re.compile(r"^(```+\w*\n).*?^```+$", re.MULTILINE | re.DOTALL)
        text = fences.sub(lambda match: match[1] + "\n" * (match[0].count("\n") - 1), outside)
        for pattern, reason in NOT_NOTEBOOK.items():
            for match in re.finditer(pattern, text, re.MULTILINE):
                problems.append(f"{_where(lesson, cell, text, match.start())}: {match[0].strip()!r} is {reason}")
    return problems


def tags(lesson: Lesson) -> list[str]:
    """Numbers of the lesson's formulas, in order."""
    return [tag for formula in DISPLAY.findall(without_code(lesson.markdown())) for tag in TAG.findall(formula)]


def formulas(lesson: Lesson, known: dict[int, Collection[str]] | None = None) -> list[str]:
    """Display mathematics is between ``$$`` and tagged 3.1, 3.2, ...; every (3.2) in the prose exists.

    Parameters
    ----------
    lesson : Lesson
    known : dict of int to collection of str, optional
        Formula numbers of all lessons, for references across lessons.
    """
    problems = []
    for cell in _markdown_cells(lesson):
        text = without_code(cell.source)
        for match in DISPLAY.finditer(text):
            if not TAG.search(match[1]):
                problems.append(f"{_where(lesson, cell, text, match.start())}: display mathematics without \\tag")
        outside = DISPLAY.sub("", text)
        if "$$" in outside:
            problems.append(f"{_where(lesson, cell)}: $$ that does not pair")
        if re.search(r"\\begin\{(equation|align|gather|multline|displaymath|eqnarray)", outside):
            problems.append(f"{_where(lesson, cell)}: display mathematics outside $$")
        if TAG.search(outside):
            problems.append(f"{_where(lesson, cell)}: a \\tag outside $$")
    found = tags(lesson)
    expected = [f"{lesson.number}.{k}" for k in range(1, len(found) + 1)]
    if found != expected:
        problems.append(f"{lesson.name}: formulas are tagged {found}; {expected} is expected")
    there = {**(known or {}), lesson.number: found}
    for cell in _markdown_cells(lesson):
        for reference in REFERENCE.findall(prose(cell.source)):
            if reference not in there.get(int(reference.split(".")[0]), ()):
                problems.append(
                    f"{_where(lesson, cell)}: ({reference}) refers to no formula; if it is a number, write "
                    f"${reference}$"
                )
    return problems


def alternatives(lesson: Lesson) -> list[str]:
    """Every image in Markdown has an alternative text."""
    problems = []
    for cell in _markdown_cells(lesson):
        text = without_code(cell.source)
        for image, alt, target in MARKDOWN_LINK.findall(text):
            if image and not alt.strip():
                problems.append(f"{_where(lesson, cell)}: image {target} has no alternative text")
        for tag in HTML_IMAGE.findall(text):
            alt = ALT.search(tag)
            if not (alt and alt[2].strip()):
                problems.append(f"{_where(lesson, cell)}: image {tag} has no alternative text")
    return problems


def anchors(source: str) -> set[str]:
    """Anchors of a notebook's headings as JupyterLab and nbconvert name them: spaces become hyphens."""
    plain = (
        re.sub(r"[`*]", "", MARKDOWN_LINK.sub(lambda match: match[2], title)) for _, title in HEADING.findall(source)
    )
    return {title.strip().replace(" ", "-") for title in plain}


def links(lesson: Lesson, root: Path) -> list[str]:
    """Every internal link leads somewhere, seen from ``notebooks/``; one to a lesson leads to its notebook.

    Those to lessons that are planned the build takes out.

    Parameters
    ----------
    lesson : Lesson
    root : Path
        The repository.
    """
    problems = []
    for cell in _markdown_cells(lesson):
        text = planned(without_code(cell.source), {path.name[:2] for path in sources(root / "lessons")})
        targets = [target for _, _, target in MARKDOWN_LINK.findall(text)] + HTML_LINK.findall(text)
        for target in targets:
            reason = _broken(target, lesson, root)
            if reason:
                problems.append(f"{_where(lesson, cell)}: link {target!r} {reason}")
        if re.search(r"\]\[[^\]]*\]|^\[[^\]]+\]: ", INLINE.sub("", text), re.MULTILINE):
            problems.append(f"{_where(lesson, cell)}: a reference-style link; write [words](target)")
    return problems


def _broken(target: str, lesson: Lesson, root: Path) -> str:
    if re.match(r"[a-z][\w+.-]*:", target, re.IGNORECASE):
        return "" if re.match(r"(https?://\w|mailto:\w|attachment:\w)", target) else "is of an unknown kind"
    path, _, anchor = target.partition("#")
    if not path:
        if anchor in anchors(without_code(lesson.markdown())):
            return ""
        return "names no heading of this lesson (spaces become hyphens)"
    folder = root / "notebooks"
    reached = (folder / path).resolve()
    if not reached.is_relative_to(root.resolve()):
        return "leaves the repository"
    if re.match(r"\d\d_", reached.name) and (reached.suffix != ".ipynb" or reached.parent == root / "lessons"):
        return "leads to a lesson's source; link to the .ipynb beside this one"
    source = {path.stem: path for path in sources(root / "lessons")}.get(reached.stem)
    if reached.suffix == ".ipynb" and reached.parent in (folder.resolve(), (folder / "solutions").resolve()):
        if source is None:
            return "leads to a lesson that does not exist"
        if anchor and anchor not in anchors(without_code(read(source.read_text("utf-8"), source.name).markdown())):
            return "names no heading of that lesson (spaces become hyphens)"
        return ""
    if not reached.exists():
        return "leads nowhere"
    if anchor and reached.suffix == ".md":
        titles = (title for _, title in HEADING.findall(without_code(reached.read_text("utf-8"))))
        if anchor not in {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}:
            return "names no heading there (lower case, spaces become hyphens)"
    return ""


def unwritten(lesson: Lesson, there: Collection[int]) -> list[str]:
    """Where lessons are spoken of by number, "(planned)" follows exactly those that are not there.

    A link needs no such word: the build adds it.

    Parameters
    ----------
    lesson : Lesson
    there : collection of int
        Numbers of the lessons that have a source.
    """
    problems = []
    for cell in _markdown_cells(lesson):
        text = MARKDOWN_LINK.sub("", without_code(cell.source))
        for match in LESSONS.finditer(text):
            numbers = {int(number) for number in re.findall(r"\d+", match[1])}
            for first, last in re.findall(r"(\d+)\s*(?:–|-|to)\s*(\d+)", match[1]):
                numbers.update(range(int(first), int(last)))
            missing = sorted(numbers.difference(there))
            if missing and not match[2]:
                problems.append(
                    f"{_where(lesson, cell)}: {match[0]!r}: {missing} not there; link to it, or add (planned)"
                )
            if match[2] and not missing:
                problems.append(f"{_where(lesson, cell)}: {match[0]!r}: no longer planned")
    return problems


def measures(text: str) -> list[str]:
    """Sentences of Markdown with a literal number beside %, ±, × or a word for time or accuracy.

    Placeholders do not count: they are stored results. Nor does a product of two literal numbers, 8 × 8.
    """
    found = []
    for sentence in sentences(PLACEHOLDER.sub("stored", text)):
        if any(pattern.search(sentence) for pattern in (MEASURE_AFTER, MEASURE_BEFORE, MEASURE_NEAR)):
            found.append(sentence)
    return found


def unsourced(
    file: str, text: str, entries: Iterable[dict[str, str]], sections: Iterable[dict[str, str]] = ()
) -> tuple[list[str], set[str]]:
    """Numbers in prose that no entry of the allow-list gives a source for.

    Parameters
    ----------
    file : str
        Path in the repository.
    text : str
        Markdown; a lesson's without its code cells.
    entries : iterable of dict
        ``file``, ``text`` (the sentence) and ``source``.
    sections : iterable of dict
        ``heading`` and ``source``: whole second-level sections whose numbers have one source.

    Returns
    -------
    problems : list of str
    used : set of str
        Sentences and headings of the allow-list that were needed.
    """
    used: set[str] = set()
    for section in sections:
        pattern = rf"^## +{re.escape(section['heading'])} *\n(.*?)(?=^## |\Z)"
        for body in re.findall(pattern, text, re.MULTILINE | re.DOTALL):
            if measures(body):
                used.add(section["heading"])
        text = re.sub(pattern, "", text, flags=re.MULTILINE | re.DOTALL)
    allowed = {" ".join(entry["text"].split()) for entry in entries if entry["file"] == file}
    problems = []
    for sentence in measures(text):
        if sentence in allowed:
            used.add(sentence)
        else:
            problems.append(
                f"{file}: a number without a source. Quote a stored result, {{{{file.case.metric}}}}, or add "
                f"to tests/numbers_allowlist.toml:\n"
                f"[[entry]]\nfile = {file!r}\ntext = '''{sentence}'''\nsource = '...'"
            )
    return problems, used


# Saved notebooks


def saved(notebook: NotebookNode, name: str, size: int) -> list[str]:
    """A saved notebook ran from top to bottom without an error, and holds nothing of a machine or a person.

    Parameters
    ----------
    notebook : NotebookNode
    name : str
        For messages.
    size : int
        Bytes of the file.
    """
    problems = []
    if size >= LARGEST_NOTEBOOK:
        problems.append(f"{name}: {size} bytes; less than {LARGEST_NOTEBOOK} is expected")
    if set(notebook.metadata) != {"kernelspec", "language_info", "metautil"}:
        problems.append(
            f"{name}: metadata {sorted(notebook.metadata)}; kernelspec, language_info, metautil are expected"
        )
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    counts = [cell.execution_count for cell in code if cell.source.strip()]
    if counts != list(range(1, len(counts) + 1)):
        problems.append(f"{name}: execution counts are {counts}; 1, 2, ... without gaps are expected")
    for cell in code:
        for output in cell.outputs:
            if output.output_type == "error":
                problems.append(f"{name}, {cell.id}: an error: {output.ename}: {output.evalue}")
            if output.get("name") == "stderr":
                problems.append(f"{name}, {cell.id}: text on stderr: {output.text.strip()[:100]!r}")
            if WIDGET_VIEW in output.get("data", {}):
                problems.append(f"{name}, {cell.id}: a saved widget view")
            text = output.get("text", "") + str(output.get("data", {}).get("text/plain", ""))
            for private in re.findall(r"0x[0-9a-f]{6,}|/(?:tmp|home|root|Users|var/folders)/\S*|[A-Z]:\\\S+", text):
                problems.append(f"{name}, {cell.id}: {private!r} differs from machine to machine")
    return problems


def pictures(notebook: NotebookNode, name: str) -> list[str]:
    """Saved pictures are in cells tagged figure, with alternative text and a number from the frame."""
    problems = []
    for cell in notebook.cells:
        if cell.cell_type != "code":
            continue
        tagged = "figure" in cell.metadata.get("tags", [])
        drawn = [output for output in cell.outputs if any(m.startswith("image/") for m in output.get("data", {}))]
        if tagged and not drawn:
            problems.append(f"{name}, {cell.id}: tagged figure, but no picture is saved")
        if drawn and not tagged:
            problems.append(f"{name}, {cell.id}: a picture in a cell that is not tagged figure")
        for output in drawn:
            for mime in (m for m in output.data if m.startswith("image/")):
                if not str(output.metadata.get(mime, {}).get("alt", "")).strip():
                    problems.append(f"{name}, {cell.id}: the picture has no alternative text (use show or still)")
            text = re.sub(r"<Figure [^>]*>", "", output.data.get("text/plain", ""))
            computed = text.partition(" · ")[2] or text  # what stands before the dot is where the sliders are
            if not re.search(r"\d", computed):
                problems.append(f"{name}, {cell.id}: no number that the frame computed beside the picture: {text!r}")
    return problems


def nbval_tags(notebook: NotebookNode, lesson: str, allowed: Iterable[dict[str, str]]) -> tuple[list[str], set[tuple]]:
    """Tags and comments that soften nbval, unless the allow-list has the cell, with a reason.

    Parameters
    ----------
    notebook : NotebookNode
    lesson : str
        Such as ``03_the_gradient_update``.
    allowed : iterable of dict
        ``lesson``, ``cell`` (its id) and ``reason``.

    Returns
    -------
    problems : list of str
    used : set of (str, str)
        Lesson and cell of the entries that were needed.
    """
    permitted = {(entry["lesson"], entry["cell"]) for entry in allowed if entry["reason"].strip()}
    problems, used = [], set()
    for cell in notebook.cells:
        found = [tag for tag in cell.metadata.get("tags", []) if tag.lower().startswith("nbval-") or tag in NBVAL_TAGS]
        found += NBVAL_COMMENTS.findall(cell.source) if cell.cell_type == "code" else []
        if found and (lesson, cell.id) in permitted:
            used.add((lesson, cell.id))
        elif found:
            problems.append(f"{lesson}, {cell.id}: {found} without an entry and reason in tests/nbval_allowlist.toml")
    return problems, used


RULES = (
    headings,
    opening,
    figures,
    exercises,
    independence,
    small_steps,
    tone,
    markdown,
    formulas,
    alternatives,
)
