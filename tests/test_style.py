"""Style, and what must not stand in the repository's files."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
# Folders at the root of somebody's machine, and hosts of package registries or mirrors; PyTorch's own CPU index is what users
# need. All are put together from pieces, so that neither this search nor another one finds them here.
FOLDERS = ("work", "farm", "root", "opt")
HOSTS = ("py" + "pi.", "python" + "hosted", "conda." + "anaconda")
FORBIDDEN = re.compile(rf"(?:^|[\s\"'=(])/(?:{'|'.join(FOLDERS)})/|{'|'.join(map(re.escape, HOSTS))}", re.MULTILINE)


def tracked() -> list[Path]:
    """Text files that git tracks, or would."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
    names = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.split("\0")
    return [ROOT / name for name in names if name and (ROOT / name).is_file() and not name.endswith((".png", ".cache"))]


@pytest.mark.parametrize("command", [["check", "."], ["format", "--check", "."]], ids=lambda command: command[0])
def test_ruff_is_content(command):
    run = subprocess.run([sys.executable, "-m", "ruff", *command], cwd=ROOT, capture_output=True, text=True)
    assert run.returncode == 0, run.stdout + run.stderr


def test_no_machine_paths_and_no_registries():
    found = {}
    for path in tracked():
        hits = FORBIDDEN.findall(path.read_text(encoding="utf-8"))
        if hits:
            found[str(path.relative_to(ROOT))] = hits
    assert found == {}


@pytest.mark.parametrize("text", [f"see /{FOLDERS[0]}/x", f'open("/{FOLDERS[2]}/a")', f"https://{HOSTS[0]}org/torch"])
def test_the_search_bites(text):
    assert FORBIDDEN.search(text)
