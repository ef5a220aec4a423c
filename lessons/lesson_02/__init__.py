"""Lesson 02, *Empirical risk*."""
