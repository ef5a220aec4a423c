"""The lessons: a folder each, with the text, figures, checks, answers, formulas and tests of one lesson; `shared` for all."""
