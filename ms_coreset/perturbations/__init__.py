"""Perturbations of clean training data: pure functions from arrays to arrays and a manifest."""
