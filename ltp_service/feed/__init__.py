"""One connection to an exchange, for ever: dialing, subscribing, reading, beginning anew."""
