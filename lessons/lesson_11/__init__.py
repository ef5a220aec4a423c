"""Lesson 11, *Learning to adapt*."""
