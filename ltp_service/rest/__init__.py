"""Asking an exchange where its feed does not tell."""
