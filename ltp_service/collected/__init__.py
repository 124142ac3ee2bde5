"""Trades, order books and symbols of the exchanges beside Kraken."""
