"""Lesson 18, *Meta-features*."""
