"""Measurements that lessons quote: each module measures, `store` keeps, ``results/`` is what was measured."""
