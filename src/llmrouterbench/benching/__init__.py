"""The bench: fit, validate, decide, and the folder that keeps it."""
