"""Lesson 13, *Few-shot images*."""
