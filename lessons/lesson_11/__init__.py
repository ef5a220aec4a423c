"""Lesson 14, *Learning to adapt*."""
