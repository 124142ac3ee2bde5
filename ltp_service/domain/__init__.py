"""The words of the trade: pairs, prices, trades, order books, and what time it is at an exchange. Imports nothing."""
