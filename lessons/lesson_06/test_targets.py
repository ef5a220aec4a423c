"""The numeric targets of lesson 06's figures can be reached on the sliders' own stops, and are not met at the start."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import torch

from lessons.shared.cells import ran, shown
from metautil.tasks import few_shot_tasks

LESSON = Path(__file__).parent / "06_images_and_tasks.md"
pytestmark = pytest.mark.usefixtures("settled")


def share(text: str) -> float:
    return float(re.search(r"own digit, (\S+)%", text)[1])


def test_augmentations():
    """At least 90% keep their class up to 20° and up to crop strength 4, not at the start; flip loses digits at once."""
    scene, controls = shown(LESSON)[1]
    strengths, start = controls["strength"].stops(), {name: control.default for name, control in controls.items()}
    shares = {kind: [share(scene.move(kind, k)) for k in strengths] for kind in controls["kind"].stops()}
    assert max(k for k in strengths if shares["rotate"][k] >= 90) == 2 and "20°" in scene.move("rotate", 2)
    assert max(k for k in strengths if shares["crop"][k] >= 90) == 4 and "72%" in scene.move("crop", 4)
    assert share(scene.move(**start)) < 90
    lost = {k: list(map(int, scene.move("rotate", k).split("lost of 0 to 9: ")[1].split())) for k in (2, 4)}
    assert max(lost[2]) == lost[2][8] > sorted(lost[2])[-2], "at 20° the 8 has lost most"
    assert {digit for digit in range(10) if lost[4][digit] == max(lost[4])} == {3, 7, 8} and lost[4][0] == 0
    assert len({row[0] for row in shares.values()}) == 1, "strength 0 changes an image"
    assert min(shares, key=lambda kind: shares[kind][1]) == "flip"
    assert all(row[0] > 95 and row[0] - row[-1] > 40 for row in shares.values())


def nearest_by_hand(task, ways: int, shots: int) -> int:
    """Query images of one task that the nearest support image reads right, pair by pair."""
    hits = 0
    for x, y in zip(task.query.x[0], task.query.y[0], strict=True):
        distances = [(x - s).square().sum().item() for s in task.support.x[0]]
        hits += distances.index(min(distances)) // shots == int(y)
    assert len(task.support.x[0]) == ways * shots
    return hits


def test_episodes():
    """With 5 ways 60% from 4 shots on; with 1 shot a half up to 4 ways; the task drawn is the one that is judged."""
    scene, controls = shown(LESSON)[0]
    data = ran(LESSON).names["small"].part("test")

    def read(ways, shots):
        return float(re.search(r"in this task, (\S+)% over", scene.move(ways, shots, 1))[1])

    assert min(shots for shots in controls["shots"].stops() if read(5, shots) >= 60) == 4
    assert max(ways for ways in controls["ways"].stops() if read(ways, 1) >= 50) == 4
    assert read(controls["ways"].default, controls["shots"].default) < 50
    assert read(5, 2) > read(4, 1) > read(5, 1), "one shot more helps more than one way less"
    assert 0.7 < read(10, 1) / read(5, 1) < 0.8, "twice the ways cost about a quarter"
    for ways, shots, number in ((5, 1, 1), (2, 5, 7), (10, 3, 40)):
        text = scene.move(ways, shots, number)
        task = few_shot_tasks(data, ways, shots, 3)(1, torch.Generator().manual_seed(number))
        assert f"{nearest_by_hand(task, ways, shots)} of {3 * ways} right in this task" in text
        assert f"chance {100 / ways:.1f}%" in text
