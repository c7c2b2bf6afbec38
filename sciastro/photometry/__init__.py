"""Aperture fluxes with errors, zero points, depth and color gains of integrated images."""
