"""Kraken's trades on disk, with the proof that none is missing, and one-minute candles."""
