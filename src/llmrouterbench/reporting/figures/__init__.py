"""Figures, one file each; every one is drawn from a `Leaderboard` and needs matplotlib (extra `report`)."""
