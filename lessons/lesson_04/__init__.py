"""Lesson 04, *Two risks, one λ*."""
