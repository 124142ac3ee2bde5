"""A fake exchange that is a program of its own: `python -m tests.simulator --help`.

It is written from the exchanges' documentation and recordings and shares no code with `ltp_service`:
a misreading of the protocol must not agree with itself.
"""
