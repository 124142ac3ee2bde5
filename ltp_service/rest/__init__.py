"""Asks Kraken over REST for what its feed does not tell."""
