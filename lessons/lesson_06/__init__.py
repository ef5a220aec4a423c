"""Lesson 06, *Images and tasks*."""
