"""A fleet on one Redis: shared prices, trades, keys and limits, and one process that feeds the others."""
