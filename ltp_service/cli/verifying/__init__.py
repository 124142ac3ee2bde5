"""What `ltp verify` decides: whether the words of a service fit the trades of the exchange.

The judges here see no clock and no socket. Every moment is in monotonic seconds of one clock, and each thing that was said
has two: the last moment at which it was not there yet (`since`), and the one at which it was (`at`). A judge always takes
the moment that speaks for the service, so that a slow machine is no finding.
"""
