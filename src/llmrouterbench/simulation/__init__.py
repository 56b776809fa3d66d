"""SIMULATED outcomes, replies and releases."""
