"""Builds the parts of the service and connects them."""
