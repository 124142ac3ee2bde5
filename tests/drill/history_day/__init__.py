"""A day of history, time-warped: what it answers is held against a market whose tape is the truth.

One process, no sockets, no waiting: `python -m tests.drill.history_day` plays 24 hours of seven pairs through the
service's own feed, recorder, back-fill and database, with cuts, kills and restarts, and a REST that lags and loses
trades at the edges of its pages.
"""
