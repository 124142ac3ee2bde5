"""Streams: what changes, told to many clients at once for as long as they listen."""
