"""What every lesson must obey: each rule says of a lesson, or of its saved notebook, what is wrong where.

The rules hold the lesson contract (structure, exercises, figures), the prose (small steps, numbers with a source), the
Markdown (what JupyterLab and code-hosting pages both draw), and what is saved in notebooks. ``tests/test_lessons.py`` runs them
on every lesson, and shows on small bad lessons that each of them bites. ``python -m tools.lint_lessons``, a part of
``make lint``, says what an author should look at once more: words of tone.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from pathlib import Path

from markdown_it import MarkdownIt
from markdown_it.token import Token
from mdit_py_plugins.dollarmath import dollarmath_plugin
from nbformat import NotebookNode

from tools.build import CODE_OR_LINK, PLACEHOLDER, ROOT, WIDGET_VIEW, parse, sources, to_planned

OPENING = ("What you will be able to do", "Before you start", "Time")
CLOSING = ("Exercises", "What to take away", "What comes next", "References")
HERE = (r"\w:::here\b|^\s*class\s+[\w, ]+\s+here\b", r"^\s*classDef\s+here\b")
GRADES = ("easy", "medium", "hard")
LONGEST_CELL = 12
LARGEST_NOTEBOOK = 1_500_000  # bytes
PRIVATE = re.compile(r"0x[0-9a-f]{6,}|/(?:tmp|home|root|Users|var/folders)/\S*|[A-Z]:\\\S+")
SOFT_TAGS = re.compile(r"nbval-.*|raises-exception", re.IGNORECASE)
SOFT_COMMENTS = re.compile(r"^\s*#+\s*(NBVAL_\w+|PYTEST_VALIDATE_IGNORE_OUTPUT)\s*$", re.MULTILINE)
MARKER = re.compile(r"^[ \t]*#+ *(BEGIN|END) SOLUTION.*$", re.MULTILINE)
TAG = re.compile(r"\\tag\{([^}]*)\}")
NOT_OUTSIDE = {  # what belongs to display mathematics alone
    r"\$\$": "$$ that does not pair",
    r"\\begin\{(equation|align|gather|multline|displaymath|eqnarray)": "display mathematics outside $$",
    r"\\tag\{": "a \\tag outside $$",
}
DISPLAY = ("math_block", "math_inline_double")
REFERENCE = re.compile(r"\((\d{1,2}\.\d{1,2})\)")
HTML = re.compile(r"<!--.*?-->|</?[A-Za-z][^>]*>", re.DOTALL)
HTML_LINK = re.compile(r"<(?:a|img|source)\b[^>]*?\b(?:href|src)\s*=\s*[\"']([^\"']*)[\"'][^>]*>", re.IGNORECASE)
HTML_IMAGE = re.compile(r"<img\b(?![^>]*\balt\s*=\s*[\"']\s*[^\s\"'])[^>]*>", re.IGNORECASE)  # without words for it
TONE = re.compile(r"\b(simply|obviously|just|trivially|of\s+course|clearly)\b|!", re.IGNORECASE)
NUMBER = r"\d(?:[\d.,]*\d)?"
LESSONS = re.compile(
    r"\blessons?\s+(\d\d?(?:(?:\s*[,–-]\s*(?:and\s+|or\s+)?|\s+(?:and|or|to)\s+)\d\d?)*)(?!\d|\.\d)(\s+\(planned\))?",
    re.IGNORECASE,
)
MEASURES = re.compile(
    rf"{NUMBER}\s*-?(?:%|±|×(?!\s*{NUMBER})|(?:percent|per\s+cent|percentage|fold|times"
    rf"|seconds?|secs?|s|minutes?|mins?|min|hours?|hrs?|h|days?|ms|milliseconds?|microseconds?|µs|ns)(?!\w))"
    rf"|±\s*{NUMBER}|(?<![\d.\s])\s*×\s*{NUMBER}"
    rf"|\b(?:accura(?:cy|cies|te)|faster|slower|quicker|speed-?up)\b(?:\W+\w+){{0,3}}?\W+{NUMBER}(?![\w.]*\d)"
    rf"|{NUMBER}\)?(?:\W+\w+){{0,3}}?\W+(?:accura(?:cy|cies|te)|faster|slower|quicker|speed-?up)\b",
    re.IGNORECASE,
)
NOT_NOTEBOOK = {  # Markdown that one of the two places does not draw, and what to write instead
    r"^[ \t]*(?:```+|~~~+|:::+)\s*\{|^:::": "a MyST directive; write plain Markdown",
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
MARKDOWN = MarkdownIt("commonmark").enable("table").disable("reference")
MARKDOWN.use(dollarmath_plugin, allow_labels=False, double_inline=True)
MARKDOWN.validateLink, MARKDOWN.normalizeLink = bool, str  # links as they are written, also wrong ones
Rule = Iterator[tuple[object, str, str]]
"""What a rule yields: whether something is wrong, where, and what is said of it."""


@dataclass(frozen=True)
class Lesson:
    """A lesson's source, read: its file name, and its cells as `tools.build.parse` gives them, solutions included."""

    name: str
    cells: list[NotebookNode]

    @property
    def number(self) -> int:
        return int(self.name[:2])

    def markdown(self) -> str:
        """All Markdown cells as one text."""
        return "\n\n".join(cell.source for cell in self.cells if cell.cell_type == "markdown")

    def where(self, cell: NotebookNode, line: int = 0) -> str:
        """File and line, for messages; ``line`` counts from the first of the cell."""
        return f"{self.name}, line {cell.metadata['line'] + line}"

    def blocks(self) -> Iterator[tuple[str, Token]]:
        """Where each block of Markdown is, and the block."""
        for cell in self.cells:
            if cell.cell_type == "markdown":
                yield from ((self.where(cell, block.map[0]), block) for block in blocks(cell.source) if block.map)

    def pieces(self) -> Iterator[tuple[str, Token]]:
        """Where each piece of Markdown is, and the piece."""
        return ((where, piece) for where, block in self.blocks() for piece in pieces(block))


def read(text: str, name: str) -> Lesson:
    """A lesson from its source, as written: placeholders are not filled."""
    return Lesson(name, parse(text, name))


def problems(rule: Callable[..., Rule], *given: object) -> list[str]:
    """What a rule finds wrong in what it is given, a line each."""
    return [f"{where}: {said}" for wrong, where, said in rule(*given) if wrong]


# Taking Markdown apart


@cache
def blocks(source: str) -> list[Token]:
    """Blocks of Markdown: headings, paragraphs, cells of tables, code, display mathematics."""
    return MARKDOWN.parse(source)


def pieces(block: Token) -> list[Token]:
    """What a paragraph consists of: words, code, mathematics, links; a block of another kind is one piece. No comments."""
    found = [block] if block.children is None else block.children
    return [piece for piece in found if not piece.content.startswith("<!--")]


def words(block: Token, mathematics: bool = False) -> str:
    """What is read as sentences in a block, without code and link targets; inline mathematics is an x, or said."""
    if block.type not in ("inline", "html_block"):
        return ""
    instead = {"softbreak": " ", "hardbreak": " ", "html_inline": " ", "code_inline": "", "math_inline_double": "\n"}
    text = "".join(
        (_spoken(piece.content) if mathematics else "x")
        if piece.type == "math_inline"
        else instead.get(piece.type, piece.content)
        for piece in pieces(block)
    )
    return re.sub(r"https?://\S+", " ", HTML.sub(" ", text))


def _spoken(formula: str) -> str:
    """Inline mathematics as text, so that no number hides in it."""
    for latex, sign in ((r"\%", "%"), (r"\pm", "±"), (r"\times", "×"), (r"\,", " "), (r"\ ", " "), ("~", " ")):
        formula = formula.replace(latex, sign)
    return re.sub(r"\\(?:text|mathrm)\{([^}]*)\}", r"\1", formula)


def titles(source: str) -> list[tuple[int, Token]]:
    """Level and text of each heading."""
    return [(int(block.tag[1]), text) for block, text in pairwise(blocks(source)) if block.type == "heading_open"]


def sections(source: str) -> dict[str, str]:
    """Second-level heading → the text below it, up to the next one; "" → what stands before the first."""
    lines = source.splitlines()
    starts = [(text.map[0], text.content) for level, text in titles(source) if level == 2]
    bounds = pairwise([(-1, ""), *starts, (len(lines), "")])
    return {title: "\n".join(lines[start + 1 : end]) for (start, title), (end, _) in bounds}


def targets(piece: Token) -> list[str]:
    """Where a link, an image or HTML leads."""
    html = HTML_LINK.findall(piece.content) if piece.type.startswith("html") else []
    return html + [piece.attrs[key] for key in ("href", "src") if key in piece.attrs]


# The lesson contract


def headings(lesson: Lesson) -> Rule:
    """The contract's headings, in order, with at least two numbered sections before the exercises."""
    number, found = lesson.name[:2], [(level, text.content) for level, text in titles(lesson.markdown())]
    first = [title for level, title in found if level == 1]
    bad = len(first) != 1 or not re.match(rf"{number} · \S", first[0])
    yield bad, lesson.name, f"one first-level heading '# {number} · Title' expected; has {first}"
    seconds = [title for level, title in found if level == 2]
    own = [title for title in seconds if title not in OPENING + CLOSING]
    bad = len(own) < 2 or not all(re.match(rf"{k} · \S", title) for k, title in enumerate(own, start=1))
    yield bad, lesson.name, f"at least two sections '## 1 · Title', '## 2 · Title' expected; has {own}"
    expected = [*OPENING, *own, *CLOSING]
    yield seconds != expected, lesson.name, f"second-level headings {expected} are expected; has {seconds}"


def opening(lesson: Lesson) -> Rule:
    """Objectives mirror take-aways; minutes under Time, links under References, a map with "you are here"."""
    name, below = lesson.name, dict.fromkeys(OPENING + CLOSING, "") | sections(lesson.markdown())
    asked, given = (len(re.findall(r"^[-*] ", below[title], re.MULTILINE)) for title in (OPENING[0], CLOSING[1]))
    yield asked != given or not asked, name, f"{asked} objectives and {given} take-aways; as many of both, at least 1"
    timed = re.search(r"\d[^.]*\bmin(ute)?s?\b", PLACEHOLDER.sub("1", below["Time"]))
    yield not timed, name, "no minutes under Time"
    for title in ("Before you start", "What comes next"):
        yield not any(words(block).strip() for block in blocks(below[title])), name, f"nothing under {title}"
    cited = (target for block in blocks(below["References"]) for piece in pieces(block) for target in targets(piece))
    yield not any(target.startswith("http") for target in cited), name, "no link under References"
    maps = [block.content for _, block in lesson.blocks() if block.info == "mermaid"]
    here = [drawn for drawn in maps if all(re.search(part, drawn, re.MULTILINE) for part in HERE)]
    yield not here, name, "no mermaid map with a node of class here ('classDef here ...')"


def figures(lesson: Lesson) -> Rule:
    """At least one figure with sliders; each with its own prediction before it and a target with a number."""
    count = dict.fromkeys(("Predict", "Target", "figure"), 0)
    for cell in lesson.cells:
        where = lesson.where(cell)
        if cell.cell_type == "code":
            tagged = "figure" in cell.metadata.get("tags", [])
            slides = re.search(r"(?<!def )(?<!\w)(?:show|drive|draw_your_own)\(", cell.source) is not None
            yield slides and not tagged, where, "a cell that shows sliders is tagged figure"
            count["figure"] += slides and tagged
            late = slides and tagged and count["Predict"] < count["figure"]
            yield late, where, "no paragraph '**Predict.** ...' before this figure"
            continue
        for kind, rest in re.findall(r"^\*\*(Predict|Target)\.\*\*(.*(?:\n.+)*)", cell.source, re.MULTILINE):
            count[kind] += 1
            yield kind == "Target" and not re.search(r"\d", rest), where, "the target names no number"
    shown, aims = count["figure"], count["Target"]
    yield not shown, lesson.name, "no cell tagged figure with show(...)"
    yield aims < shown, lesson.name, f"{shown} figures with sliders and {aims} paragraphs '**Target.** ...'"


def _exercise_cells(lesson: Lesson) -> Iterator[tuple[str, NotebookNode]]:
    """The heading above each cell with a solution, and the cell."""
    heading = ""
    for cell in lesson.cells:
        if cell.cell_type == "markdown":
            heading = ([heading] + [text.content for level, text in titles(cell.source) if level in (2, 3)])[-1]
        elif MARKER.search(cell.source):
            yield heading, cell


def exercises(lesson: Lesson) -> Rule:
    """At least three, numbered and graded; each names its answer before the marker and checks it after."""
    name = lesson.name
    asked = [text.content for level, text in titles(sections(lesson.markdown()).get("Exercises", "")) if level == 3]
    form = re.compile(rf"Exercise 0?{lesson.number}\.(\d+) · \S.* \(({'|'.join(GRADES)})\)")
    matches = [match for match in map(form.fullmatch, asked) if match]
    wanted = f"'### Exercise {name[:2]}.k · title (easy|medium|hard)', k = 1, 2, ..., is expected"
    numbered = [int(match[1]) for match in matches] == list(range(1, len(asked) + 1))
    yield not numbered, name, f"{wanted}; has {asked}"
    yield len(asked) < 3, name, f"{len(asked)} exercises; at least three are expected"
    grades = [GRADES.index(match[2]) for match in matches]
    yield grades != sorted(grades), name, "exercises go from easy to hard"
    cells = list(_exercise_cells(lesson))
    for title in asked:
        yield title not in dict(cells), name, f"{title!r} has no cell with ### BEGIN SOLUTION"
    for heading, cell in cells:
        where = lesson.where(cell)
        yield heading not in asked, where, f"a solution outside an exercise (below {heading!r})"
        before, *markers, after = MARKER.split(cell.source)
        if markers[::2] != ["BEGIN", "END"]:
            yield True, where, "one ### BEGIN SOLUTION and one ### END SOLUTION are expected"
            continue
        answers = re.findall(r"^(\w+) = None\b", before, re.MULTILINE)
        yield not answers, where, "no 'answer = None' before ### BEGIN SOLUTION"
        checked = " ".join(re.findall(r"\bcheck_\w+\(([^)]*)", after))
        for answer in sorted({*answers}.difference(re.findall(r"\w+", checked))):
            yield True, where, f"no check_...({answer}) after ### END SOLUTION"


def independence(lesson: Lesson) -> Rule:
    """No cell uses a name that an earlier exercise's cell made: it would be None, or wrong, for a learner."""
    learned: set[str] = set()
    exercise = {cell.id for _, cell in _exercise_cells(lesson)}
    for cell in (cell for cell in lesson.cells if cell.cell_type == "code"):
        try:
            tree = ast.parse(re.sub(r"^\s*[%!].*$", "", cell.source, flags=re.MULTILINE))
        except SyntaxError as error:
            yield True, lesson.where(cell), f"not Python: {error}"
            continue
        names = [node for node in ast.walk(tree) if isinstance(node, ast.Name)]
        made = {node.id for node in names if isinstance(node.ctx, ast.Store)}
        made |= {node.name for node in tree.body if isinstance(node, ast.FunctionDef | ast.ClassDef)}
        used = {node.id for node in names if isinstance(node.ctx, ast.Load)}
        for name in sorted((used & learned) - made):
            yield True, lesson.where(cell), f"uses {name}, which a learner makes in an exercise"
        learned = learned | made if cell.id in exercise else learned - made


def small_steps(lesson: Lesson) -> Rule:
    """Code cells of at most 12 lines, blank ones and solutions not counted, each with prose before it."""
    for before, cell in pairwise([None, *lesson.cells]):
        if cell.cell_type == "code":
            # Every second part is outside, and between two parts is a word of the marker.
            count = sum(bool(line.strip()) for part in MARKER.split(cell.source)[::4] for line in part.splitlines())
            yield count > LONGEST_CELL, lesson.where(cell), f"{count} lines of code; at most {LONGEST_CELL}"
            said = before is not None and before.cell_type == "markdown" and _says_something(before.source)
            yield not said, lesson.where(cell), "no prose right before this code cell"


def _says_something(source: str) -> bool:
    """Whether Markdown ends with words or a formula, not with a heading."""
    found = blocks(source)
    last = found[max((i for i, block in enumerate(found) if block.level == 0 and block.nesting >= 0), default=0) :]
    formula = any(piece.type in DISPLAY for block in last for piece in pieces(block))
    return formula or (last[0].type != "heading_open" and len(" ".join(map(words, last)).split()) >= 3)


# Prose and Markdown


def tone(lesson: Lesson) -> Rule:
    """Exclamation marks and words that tell a reader that something is easy."""
    for where, block in lesson.blocks():
        yield from ((True, where, f"{match[0]!r} in the prose") for match in TONE.finditer(words(block)))


def markdown(lesson: Lesson) -> Rule:
    """Only Markdown that JupyterLab and code-hosting pages both draw."""
    fences = re.compile(r"^(```+\w*\n).*?^```+$", re.MULTILINE | re.DOTALL)
    for cell in (cell for cell in lesson.cells if cell.cell_type == "markdown"):
        outside = re.sub(r"(?<![`}$])`(?!`)[^`\n]*`(?![`$])", "", cell.source)  # plain code spans; roles stay
        text = fences.sub(lambda match: match[1] + "\n" * (match[0].count("\n") - 1), outside)
        for pattern, reason in NOT_NOTEBOOK.items():
            for match in re.finditer(pattern, text, re.MULTILINE):
                where = lesson.where(cell, text[: match.start()].count("\n"))
                yield True, where, f"{match[0].strip()!r} is {reason}"


def displays(lesson: Lesson) -> list[tuple[str, str]]:
    """Where each display formula is, and its LaTeX."""
    return [(where, piece.content) for where, piece in lesson.pieces() if piece.type in DISPLAY]


def tags(lesson: Lesson) -> list[str]:
    """Numbers of the lesson's formulas, in order."""
    return [tag for _, formula in displays(lesson) for tag in TAG.findall(formula)]


def formulas(lesson: Lesson, known: Mapping[int, Collection[str]] = {}) -> Rule:
    """Display mathematics is between ``$$`` and tagged 3.1, 3.2, ...; every (3.2) in the prose exists.

    References may lead to other lessons: ``known`` holds the tags of each, by its number.
    """
    for where, formula in displays(lesson):
        yield not TAG.search(formula), where, "display mathematics without \\tag"
    found = tags(lesson)
    expected = [f"{lesson.number}.{k}" for k in range(1, len(found) + 1)]
    yield found != expected, lesson.name, f"formulas are tagged {found}; {expected} is expected"
    there = {**known, lesson.number: found}
    for where, block in lesson.blocks():
        outside = "".join(p.content for p in pieces(block) if p.type in ("text", "math_inline", "html_block"))
        yield from ((re.search(pattern, outside), where, problem) for pattern, problem in NOT_OUTSIDE.items())
        for number in REFERENCE.findall(words(block)):
            missing = number not in there.get(int(number.split(".")[0]), ())
            yield missing, where, f"({number}) refers to no formula; if it is a number, write ${number}$"


def alternatives(lesson: Lesson) -> Rule:
    """Every image in Markdown has an alternative text."""
    for where, piece in lesson.pieces():
        images = HTML_IMAGE.findall(piece.content) if piece.type.startswith("html") else []
        images += [piece.attrs["src"]] if piece.type == "image" and not piece.content.strip() else []
        yield from ((True, where, f"image {image} has no alternative text") for image in images)


def anchors(source: str) -> set[str]:
    """Anchors of a notebook's headings as JupyterLab and nbconvert name them: spaces become hyphens."""
    return {_plain(title).strip().replace(" ", "-") for _, title in titles(source)}


def _plain(title: Token) -> str:
    return "".join(f"${piece.content}$" if piece.type == "math_inline" else piece.content for piece in title.children)


def links(lesson: Lesson, root: Path = ROOT) -> Rule:
    """Every internal link leads somewhere, seen from ``notebooks/``; one to a lesson leads to its notebook."""
    there = {path.name[:2] for path in sources(root / "lessons")}
    for where, piece in lesson.pieces():
        # A link to a lesson that is planned the build takes out; in HTML it cannot.
        found = [target for target in targets(piece) if piece.type != "link_open" or not to_planned(target, there)]
        reasons = {target: _broken(target, lesson, root) for target in found}
        yield from ((reason, where, f"link {target!r} {reason}") for target, reason in reasons.items())
    for where, block in lesson.blocks():
        indirect = re.search(r"\]\[|^\[[^\]]+\]: ", words(block))
        yield indirect, where, "a reference-style link; write [words](target)"


def _broken(target: str, lesson: Lesson, root: Path) -> str:
    """What is wrong with a link; nothing if it leads somewhere."""
    if re.match(r"[a-z][\w+.-]*:", target, re.IGNORECASE):
        return "" if re.match(r"(https?://\w|mailto:\w|attachment:\w)", target) else "is of an unknown kind"
    path, _, anchor = target.partition("#")
    if not path:
        there = anchor in anchors(lesson.markdown())
        return "" if there else "names no heading of this lesson (spaces become hyphens)"
    root = root.resolve()
    reached = (root / "notebooks" / path).resolve()
    if not reached.is_relative_to(root):
        return "leaves the repository"
    if re.match(r"\d\d_", reached.name) and (reached.suffix != ".ipynb" or reached.is_relative_to(root / "lessons")):
        return "leads to a lesson's source; link to the .ipynb beside this one"
    if reached.suffix == ".ipynb" and reached.is_relative_to(root / "notebooks"):
        lessons = {source.stem: source for source in sources(root / "lessons")}
        if reached.stem not in lessons:
            return "leads to a lesson that does not exist"
        there = not anchor or anchor in anchors(read(lessons[reached.stem].read_text("utf-8"), reached.name).markdown())
        return "" if there else "names no heading of that lesson (spaces become hyphens)"
    if not reached.exists():
        return "leads nowhere"
    if anchor and reached.suffix == ".md":
        names = (_plain(title).lower() for _, title in titles(reached.read_text("utf-8")))
        if anchor not in {re.sub(r"[^\w\- ]", "", name).replace(" ", "-") for name in names}:
            return "names no heading there (lower case, spaces become hyphens)"
    return ""


def unwritten(lesson: Lesson, there: Collection[int]) -> Rule:
    """Where lessons are spoken of by number, "(planned)" follows exactly those that are not ``there``.

    A link needs no such word: the build adds it.
    """
    for where, block in lesson.blocks():
        for match in LESSONS.finditer(CODE_OR_LINK.sub("", block.content) if block.type == "inline" else ""):
            numbers = {int(number) for number in re.findall(r"\d+", match[1])}
            for first, last in re.findall(r"(\d+)\s*(?:–|-|to)\s*(\d+)", match[1]):
                numbers.update(range(int(first), int(last)))
            missing = sorted(numbers.difference(there))
            yield missing and not match[2], where, f"{match[0]!r}: {missing} not there; link to it, or add (planned)"
            yield match[2] and not missing, where, f"{match[0]!r}: no longer planned"


# Numbers in prose


def measures(text: str) -> list[str]:
    """Sentences of Markdown with a literal number beside %, ±, × or a word for time or accuracy.

    Placeholders do not count: they are stored results. Nor does a product of two literal numbers, 8 × 8. A heading, list item
    or table cell ends a sentence too.
    """
    said = [words(block, mathematics=True) for block in blocks(PLACEHOLDER.sub("stored", text))]
    parts = (part for text in said for part in re.split(r"(?<=[.?:;])\s+(?=\S)|\n", text))
    found = (" ".join(part.replace("*", "").split()) for part in parts)
    return [sentence for sentence in found if MEASURES.search(sentence)]


def unsourced(
    file: str, text: str, entries: Iterable[Mapping[str, str]], whole: Iterable[Mapping[str, str]] = ()
) -> Rule:
    """A number in a file's prose has a source in one of the ``entries`` (text, source; read from the numbers.toml beside it)
    or in ``whole`` (heading, source) for its section; every one of these is needed, and says its source.
    """
    found = [(title, said) for title, body in sections(text).items() for said in measures(title) + measures(body)]
    headings = {section["heading"] for section in whole}
    needed = {said for title, said in found if title not in headings}
    listed = {" ".join(entry["text"].split()) for entry in entries}
    for said in sorted(needed - listed):
        add = f"[[entry]]\ntext = '''{said}'''\nsource = '...'"
        quote = "Quote a stored result, {{file.case.metric}}, or add to the numbers.toml beside it"
        yield True, file, f"a number without a source. {quote}:\n{add}"
    for idle in [*sorted(listed - needed), *sorted(headings - {title for title, _ in found})]:
        yield True, f"numbers.toml of {file}", f"nothing needs the entry {idle!r} any more"
    for entry in (*entries, *whole):
        yield not entry["source"].strip(), f"numbers.toml of {file}", f"{entry} has no source"


# Saved notebooks


def saved(notebook: NotebookNode, name: str, size: int) -> Rule:
    """A saved notebook of ``size`` bytes ran from top to bottom without an error, and holds nothing of a machine or a person."""
    yield size >= LARGEST_NOTEBOOK, name, f"{size} bytes; less than {LARGEST_NOTEBOOK} is expected"
    about, wanted = sorted(notebook.metadata), ["kernelspec", "language_info", "metautil"]
    yield about != wanted, name, f"metadata {about}; {wanted} are expected"
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    counts = [cell.execution_count for cell in code if cell.source.strip()]
    counted = list(range(1, len(counts) + 1))
    yield counts != counted, name, f"execution counts are {counts}; 1, 2, ... without gaps are expected"
    for where, output in ((f"{name}, {cell.id}", output) for cell in code for output in cell.outputs):
        text, data = output.get("text", ""), output.get("data", {})
        yield output.output_type == "error", where, f"an error: {output.get('ename')}: {output.get('evalue')}"
        yield output.get("name") == "stderr", where, f"text on stderr: {text.strip()[:100]!r}"
        yield WIDGET_VIEW in data, where, "a saved widget view"
        for private in PRIVATE.findall(text + str(data.get("text/plain", ""))):
            yield True, where, f"{private!r} differs from machine to machine"


def pictures(notebook: NotebookNode, name: str) -> Rule:
    """Saved pictures are in cells tagged figure, with alternative text and a number from the frame."""
    for cell in (cell for cell in notebook.cells if cell.cell_type == "code"):
        where, tagged = f"{name}, {cell.id}", "figure" in cell.metadata.get("tags", [])
        drawn = [output for output in cell.outputs if any(m.startswith("image/") for m in output.get("data", {}))]
        yield tagged and not drawn, where, "tagged figure, but no picture is saved"
        yield drawn and not tagged, where, "a picture in a cell that is not tagged figure"
        for output in drawn:
            for mime in (m for m in output.data if m.startswith("image/")):
                alt = str(output.metadata.get(mime, {}).get("alt", "")).strip()
                yield not alt, where, "the picture has no alternative text (use show or still)"
            text = re.sub(r"<Figure [^>]*>", "", output.data.get("text/plain", ""))
            computed = text.partition(" · ")[2] or text  # what stands before the dot is where the sliders are
            said = f"no number that the frame computed beside the picture: {text!r}"
            yield not re.search(r"\d", computed), where, said


def softened(notebooks: Iterable[tuple[str, NotebookNode]], allowed: Iterable[Mapping[str, str]]) -> Rule:
    """Cells with a tag or comment that softens nbval have an entry that says why; every entry is needed.

    Each notebook comes with the lesson's name; ``allowed`` are the entries of tests/nbval_allowlist.toml.
    """
    found = {}
    for name, cell in ((name, cell) for name, notebook in notebooks for cell in notebook.cells):
        soft = [tag for tag in cell.metadata.get("tags", []) if SOFT_TAGS.fullmatch(tag)]
        soft += SOFT_COMMENTS.findall(cell.source) if cell.cell_type == "code" else []
        found |= {f"{name}, {cell.id}": soft} if soft else {}
    listed = {f"{entry['lesson']}, {entry['cell']}" for entry in allowed if entry["reason"].strip()}
    reason = "an entry and reason in tests/nbval_allowlist.toml"
    yield from ((True, cell, f"{found[cell]} without {reason}") for cell in sorted(found.keys() - listed))
    yield from ((True, cell, f"{reason} that nothing needs") for cell in sorted(listed - found.keys()))


RULES = (headings, opening, figures, exercises, independence, small_steps, markdown, formulas, alternatives)


def main() -> None:
    """Print what is no mistake but worth a second look."""
    for path in sources(ROOT / "lessons"):
        for warning in problems(tone, read(path.read_text("utf-8"), path.name)):
            print(f"warning: {warning}")


if __name__ == "__main__":
    main()
