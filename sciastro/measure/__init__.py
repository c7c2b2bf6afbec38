"""Measure sky, noise and stars of single frames."""
