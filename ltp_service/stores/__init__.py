"""What both halves of the service know: prices, trades, books."""
