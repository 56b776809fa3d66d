"""From outcomes to a router in production: fit, calibrate, decide by policy, learn from what was served."""
