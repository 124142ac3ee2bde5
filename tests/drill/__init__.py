"""The fire drill: `python -m tests.drill` breaks the exchange, the network and the service, and counts wrong prices.

Each row of its table is one fault: a simulated exchange whose market moves, the real gunicorn, 200 requests/s from
a process of its own, and phases before, during and after the fault.
"""
