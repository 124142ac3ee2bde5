"""Makes the parts of a process and joins them. It starts none.

`LastPrices` uses it, too, so nothing here loads Flask or gunicorn. Redis is loaded only where it is configured, so it is
imported inside functions.
"""
