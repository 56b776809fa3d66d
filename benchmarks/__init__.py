"""Timings as ratios against a named reference of the same run, and results on real data. Not in the package."""
