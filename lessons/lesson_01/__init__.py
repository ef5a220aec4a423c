"""Lesson 01, *Everything is a mapping*."""
