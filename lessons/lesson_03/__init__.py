"""Lesson 03, *The gradient update*."""
