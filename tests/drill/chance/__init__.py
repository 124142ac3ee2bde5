"""A market, an exchange and a network of chance, played against the service's own parts on a clock of its own.

One process, no sockets, no waiting: `python -m tests.drill.chance --seeds 500` plays ten minutes of each seed and holds
every answer against what was really traded.
"""
