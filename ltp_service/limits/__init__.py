"""Limits on how often a client may ask."""
