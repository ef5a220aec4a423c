"""What takes hours keeps a record: of the commit that it ran on, and no longer than that holds."""

from __future__ import annotations

import json
import subprocess

import pytest

from tools import proof


@pytest.fixture
def course(tmp_path, monkeypatch):
    """A repository with one file, and a proof that passes as long as the file says so."""

    def git(*words: str) -> None:
        person = ["-c", "user.name=A", "-c", "user.email=a@example.org"]
        subprocess.run(["git", *person, *words], cwd=tmp_path, check=True, capture_output=True)

    check = ("-c", "import pathlib; assert pathlib.Path('code/a.py').read_text() == 'good'")
    monkeypatch.setattr(proof, "ROOT", tmp_path)
    monkeypatch.setattr(proof, "RECORD", tmp_path / "proof.json")
    monkeypatch.setattr(proof, "PROOFS", {"claim": proof.Proof("a claim", check, {}, ("code",))})
    (tmp_path / "code").mkdir()
    (tmp_path / "code/a.py").write_text("good")
    git("init", "-q")
    git("add", "code")
    git("commit", "-qm", "one")
    return tmp_path, git


def test_a_record_is_made_and_gets_old(course):
    folder, git = course
    assert proof.status("claim") == "claim: never made"
    assert proof.main(["claim"]) == 0
    assert proof.status("claim").endswith("up to date")
    (folder / "code/a.py").write_text("other")
    assert proof.status("claim").endswith("older than 1 of the files that it covers")
    git("commit", "-qam", "two")
    assert proof.status("claim").endswith("older than 1 of the files that it covers")


def test_a_proof_that_fails_or_covers_uncommitted_files_leaves_no_record(course, capsys):
    folder, git = course
    (folder / "code/a.py").write_text("bad")
    assert proof.main(["claim"]) == 1 and "Commit first" in capsys.readouterr().out
    git("commit", "-qam", "bad")
    assert proof.main(["claim"]) == 1
    assert not (folder / "proof.json").exists()


def test_a_clone_without_the_commit_says_so(course):
    folder, _ = course
    record = {"claim": {"commit": "0" * 40, "date": "2026-01-01", "seconds": 3}}
    (folder / "proof.json").write_text(json.dumps(record))
    assert "which this clone does not have" in proof.status("claim")


def test_status_runs_nothing_and_unknown_names_are_refused(course, capsys):
    assert proof.main(["--status"]) == 0 and "claim: never made" in capsys.readouterr().out
    with pytest.raises(SystemExit):
        proof.main(["nonsense"])
    assert "there are: claim" in capsys.readouterr().err


@pytest.mark.parametrize("name", proof.PROOFS)
def test_each_proof_is_a_command_that_exists_and_covers_what_is_there(name):
    assert all((proof.ROOT / path).exists() for path in proof.PROOFS[name].covers)
    named = [word.partition("::")[0] for word in proof.PROOFS[name].command if word.startswith(("tests", "lessons"))]
    assert all((proof.ROOT / path).exists() for path in named)
