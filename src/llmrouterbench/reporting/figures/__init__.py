"""What figures share, and the two that belong to no report: learning curves and calibration; needs matplotlib."""
