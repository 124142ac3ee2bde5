"""Simulated exchanges, a program of their own: `python -m ltp_service.simulator --help`.

They are written from the exchanges' documentation and recordings. They import nothing of the service, and the service
imports nothing of them: a misread protocol must not agree with itself.
"""
