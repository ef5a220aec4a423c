"""Lesson 14, *Meta-features*."""
