"""Everything that is printed or drawn: leaderboard, tables, figures, the page."""
