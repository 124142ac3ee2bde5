"""One module for each exchange, or for each of its dialects: what it sends and what it is asked."""
