"""Asking the exchange over REST where its feed does not tell."""
