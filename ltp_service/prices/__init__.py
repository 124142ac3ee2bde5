"""The heart: which trade is the last one, how far its price may be trusted, and what is answered."""
