"""Scoring: from stored replies to outcomes."""
