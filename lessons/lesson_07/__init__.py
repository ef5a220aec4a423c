"""Lesson 08, *Train the CNN*."""
