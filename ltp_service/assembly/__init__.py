"""The one place that makes things and joins them."""
