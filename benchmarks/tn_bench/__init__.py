"""Measure generators against the optimisation of Gatys et al."""
