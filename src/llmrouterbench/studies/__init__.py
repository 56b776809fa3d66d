"""Questions about outcomes and runs: headroom, comparisons, curation, robustness, latency, advice."""
