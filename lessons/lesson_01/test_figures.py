"""The picture of all alphabets in lesson 01: a row for each, under the heading of its part."""

from __future__ import annotations

import torch

from lessons.lesson_01 import figures
from metautil.datasets import font_alphabets
from metautil.tasks import Alphabets


def cut():
    """Three classes of two alphabets, the second cut by the split."""
    return Alphabets(
        torch.zeros(6, 1, 4, 4, dtype=torch.uint8),
        torch.arange(3).repeat_interleave(2),
        torch.tensor([0, 1, 1]),
        ("Latin", "Gurmukhi"),
        ("a", "b", "c"),
        {"training": torch.tensor([0, 1]), "test": torch.tensor([2])},
    )


def words(data):
    return [text.get_text() for text in figures.alphabets(data).axes[0].texts]


def test_a_row_for_each_alphabet():
    data = font_alphabets()
    rows = words(data)
    assert len(rows) == len(data.names) + len(data.parts)
    for name, count in zip(data.names, torch.bincount(data.alphabet).tolist(), strict=True):
        assert rows.count(f"{name}, {count} characters") == 1


def test_an_alphabet_that_the_split_cuts_is_in_both_parts():
    assert words(cut()) == [
        *("meta-training alphabets", "Latin, 1 characters", "Gurmukhi, 1 characters"),
        *("meta-test alphabets", "Gurmukhi, 1 characters"),
    ]
