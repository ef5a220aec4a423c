"""Lesson 07, *Images and tasks*."""
