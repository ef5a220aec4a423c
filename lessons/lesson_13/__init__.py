"""Lesson 16, *Few-shot images*."""
