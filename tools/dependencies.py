"""Which names of the repository's own packages a piece of code uses, directly or through other names.

A notebook is out of date when one of these has changed, and stays as it is when only their neighbours have. Code is
read, not run. Where reading cannot tell, more is counted rather than less: a module that is passed on or looked into
(``getattr``, ``vars``, ``import *``) counts with all its names, and what a module does on import, beyond giving names
their values, counts with each of them. A decorator of these packages is such a deed, since it may enter a function in
a table; a call on the right of ``name = ...`` is not, and counts with its name alone. Text that a %magic runs is not read.
"""

from __future__ import annotations

import ast
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

PACKAGES = ("metautil", "lessons")
LIVE = ("metautil.widgets.panels", "metautil.widgets.map", "metautil.widgets.pad")
"""Modules or packages whose code shows in a running JupyterLab alone: no saved output depends on them."""

DOTTED = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)+")
DEFINITION = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
PROGRAM = "__name__ == '__main__'"
Names = tuple[str, ...]


def normal_form(text: str, file: str) -> ast.Module:
    """Syntax tree without docstrings, comments and layout; a SyntaxError names ``file``."""
    tree = ast.parse(text, file)
    for node in ast.walk(tree):
        body = getattr(node, "body", None)  # an expression in a lambda, otherwise statements
        if isinstance(body, list) and body:
            kept = [item for item in body if not (isinstance(item, ast.Expr) and isinstance(item.value, ast.Constant))]
            node.body = kept or ([] if node is tree else [ast.Pass()])
    return tree


def names_used(cells: Mapping[str, str], root: Path, packages: Iterable[str] = PACKAGES) -> dict[str, str]:
    """Names of ``packages``, which are in ``root``, that a notebook uses: ``"module.name"`` to its statements, sorted.

    What a module does on import is under the module's own name. ``cells`` are label to code; where code is not Python, the
    SyntaxError's ``filename`` is the label or the module.
    """
    from IPython.core.inputtransformer2 import TransformerManager

    plain = TransformerManager().transform_cell  # %magics are not Python
    code = [line for label, source in cells.items() for line in normal_form(plain(source), label).body]
    notebook, uses = Module("", code), _Uses(root, tuple(packages))
    notebook.bound.clear()  # its own names: they are in its text, which counts as a whole
    for statement in code:
        uses.read(statement, notebook)
    return {name: "\n".join(map(ast.unparse, uses.found[name])) for name in sorted(uses.found)}


class Module:
    """A module's statements by the names that they give a value; a notebook is a module without a name.

    ``bound`` has all statements of the outermost level that give a name its value. ``imported`` says where imported
    names come from, those inside functions included: a module, and what is taken from it.
    """

    def __init__(self, name: str, body: list[ast.stmt], is_package: bool = False) -> None:
        self.name, self.is_package = name, is_package
        self.bound: dict[str, list[ast.stmt]] = defaultdict(list)
        self.imported: dict[str, set[tuple[str, Names]]] = defaultdict(set)
        for statement in body:
            for node in [statement] if isinstance(statement, DEFINITION) else ast.walk(statement):
                if isinstance(node, DEFINITION):
                    self.bound[node.name].append(statement)
                elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
                    self.bound[node.id].append(statement)
            for node in ast.walk(statement):
                for name, module, taken in self.imports(node):
                    self.imported[name].add((module, taken))

    def imports(self, node: ast.AST) -> Iterator[tuple[str, str, Names]]:
        """Imported names with the module that each is from and what is taken from it; nothing for other nodes."""
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.asname or "", alias.name, ()
                if not alias.asname:  # the import runs a.b.c and binds a
                    yield (outermost := alias.name.partition(".")[0]), outermost, ()
        elif isinstance(node, ast.ImportFrom):
            parents = self.name.split(".")[: (1 - node.level if self.is_package else -node.level) or None]
            base = ".".join([*(parents if node.level else []), *([node.module] if node.module else [])])
            yield from ((alias.asname or alias.name, base, (alias.name,)) for alias in node.names)


def _chains(node: ast.AST) -> Iterator[Names]:
    """Names that code reads, with the attributes taken from them; a text ``"a.b"`` is read as ``("", "a", "b")``."""
    attributes: Names = ()
    while isinstance(node, ast.Attribute):
        node, attributes = node.value, (node.attr, *attributes)
    if isinstance(node, ast.Name):
        if attributes or isinstance(node.ctx, ast.Load):
            yield (node.id, *attributes)
    elif isinstance(node, ast.Constant):
        if isinstance(node.value, str) and DOTTED.fullmatch(node.value):
            yield ("", *node.value.split("."))
    else:
        for child in ast.iter_child_nodes(node):
            yield from _chains(child)


class _Uses:
    """Follows names from module to module; ``found`` has the statements of each."""

    def __init__(self, root: Path, packages: tuple[str, ...]) -> None:
        self.root, self.packages = root, packages
        self.found: dict[str, list[ast.stmt]] = {}
        self.seen: set[tuple[str, Names]] = set()
        self.modules: dict[str, Module | None] = {}

    def module(self, name: str) -> Module | None:
        """A module of the packages, read when it is first asked for; what it does on import is then followed."""
        if name in self.modules:
            return self.modules[name]
        path = self.root.joinpath(*name.split("."))
        file = next((file for file in (path / "__init__.py", path.with_suffix(".py")) if file.is_file()), None)
        if name.split(".")[0] not in self.packages or not (file or path.is_dir()):
            return self.modules.setdefault(name, None)
        live = any(f"{name}.".startswith(f"{one}.") for one in LIVE)
        text = file.read_text(encoding="utf-8") if file and not live else ""
        tree = normal_form(text, str(file and file.relative_to(self.root)))
        body = [one for one in tree.body if not (isinstance(one, ast.If) and ast.unparse(one.test) == PROGRAM)]
        self.modules[name] = module = Module(name, body, path.is_dir())
        self.module(name.rpartition(".")[0])
        if deeds := [statement for statement in body if self.acts(statement, module)]:
            self.found[name] = deeds
        for statement in body:
            if statement in deeds or isinstance(statement, ast.Import | ast.ImportFrom):
                self.read(statement, module)
        return module

    def acts(self, statement: ast.stmt, module: Module) -> bool:
        """Whether a statement does more than to give names values."""
        if isinstance(statement, DEFINITION):
            firsts = {chain[0] for decorator in statement.decorator_list for chain in _chains(decorator)}
            sources = {base.split(".")[0] for first in firsts for base, _ in module.imported.get(first, ())}
            return not firsts.isdisjoint(module.bound) or not sources.isdisjoint(self.packages)
        if isinstance(statement, ast.Assign | ast.AnnAssign):
            parts = (part for part in ast.walk(statement) if isinstance(part, ast.Attribute | ast.Subscript))
            return any(isinstance(part.ctx, ast.Store) for part in parts)  # of an object that is there already
        return not isinstance(statement, ast.Import | ast.ImportFrom)

    def read(self, code: ast.AST, module: Module) -> None:
        """Follow all that a piece of a module's code imports and reads."""
        for node in ast.walk(code):
            for _, base, taken in module.imports(node):
                self.module(base)
                if taken == ("*",):
                    self.follow(base, ())
                elif taken:
                    self.module(f"{base}.{taken[0]}")
        for first, *rest in _chains(code):
            if first:
                self.name(module, first, tuple(rest))
            else:
                self.follow(rest[0], tuple(rest[1:]))

    def name(self, module: Module, name: str, attributes: Names) -> bool:
        """Follow a name as code of ``module`` sees it; False where it is none of the module's outermost level."""
        key = f"{module.name}.{name}"
        if name in module.bound and key not in self.found:
            self.found[key] = module.bound[name]
            for statement in module.bound[name]:
                self.read(statement, module)
        for base, taken in module.imported.get(name, ()):
            self.follow(base, taken + attributes)
        return name in module.bound or name in module.imported

    def follow(self, name: str, attributes: Names) -> None:
        """Follow attributes taken from a module; none means that the module itself is passed on."""
        module = self.module(name)
        if module is None or (name, attributes) in self.seen:
            return
        self.seen.add((name, attributes))
        if not attributes:
            for each in (*module.bound, *module.imported):
                self.name(module, each, ())
        elif not self.name(module, attributes[0], attributes[1:]):
            submodule = f"{name}.{attributes[0]}"
            self.follow(*((submodule, attributes[1:]) if self.module(submodule) else (name, ())))
