"""A leaderboard that anyone can recompute: a folder with a task, submissions that hold choices, and a site of both.

board.json                      the task: kind, rules, seeds, hashes of data and splits
data/                           the outcomes that everybody may see, a folder as in `store`
splits/SEED.json                train and test queries
submissions/NAME/               what one router decided: `card.json`, `decisions/SEED.parquet`, `submission.json`
history.json                    what was ranked when, with the hash of every submission
site/                           everything recomputed: pages to open, badges, `board.json` with every number
"""
