"""Lesson 07, *Train the CNN*."""
