"""Answers to exercises, one module a lesson: two more right ones each, and each wrong one that a check should know."""
