"""Lay the folder of a new lesson: the files of ``lessons/template``, with number, name and title put in.

What is laid is a whole small lesson that keeps every rule, so that its author changes one thing at a time.
"""

from __future__ import annotations

import re
import sys
import tempfile
from pathlib import Path

LESSONS = Path(__file__).resolve().parent.parent / "lessons"


def lay(number: str, name: str, lessons: Path = LESSONS) -> Path:
    """Make ``lessons/lesson_NN``, from the template beside it, and return it; it appears whole or not at all.

    A ValueError says that the number is none or is taken, or that the name (such as ``train_the_cnn``) cannot be used.
    """
    example = "for example: make new N=08 NAME=heuristics"
    if not re.fullmatch("[0-9]{1,2}", number):
        raise ValueError(f"N is {number!r}; the number of the new lesson is expected, one or two digits, {example}")
    if not re.fullmatch("[a-z][a-z0-9_]*", name):
        raise ValueError(
            f"NAME is {name!r}; small letters, digits and underscores are expected, a letter first, {example}"
        )
    folder = lessons / f"lesson_{int(number):02d}"
    if folder.exists():
        taken = next(folder.glob("[0-9]*.md"), folder).name
        raise ValueError(f"number {int(number):02d} is taken by {taken}; choose another, or remove its folder first")
    title = name.replace("_", " ").capitalize()
    words = {"@NN@": f"{int(number):02d}", "@N@": str(int(number)), "@NAME@": name, "@TITLE@": title}
    with tempfile.TemporaryDirectory(prefix=".new-", dir=lessons) as temporary:
        whole = Path(temporary) / folder.name
        whole.mkdir()
        for template in (lessons / "template").glob("*.tmpl"):
            text = template.read_text("utf-8")
            for word, value in words.items():
                text = text.replace(word, value)
            file = f"{words['@NN@']}_{name}.md" if template.stem == "lesson.md" else template.stem
            (whole / file).write_text(text, "utf-8")
        return whole.rename(folder)


if __name__ == "__main__":
    try:
        made = lay(*[*sys.argv[1:], "", ""][:2])
    except ValueError as error:
        sys.exit(f"make new: {error}.")
    print(f"{made.relative_to(LESSONS.parent)} is there. See it: make lesson N={made.name[-2:]}")
