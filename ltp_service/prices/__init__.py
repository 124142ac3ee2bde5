"""Which trade is a pair's last one, how far its price may be trusted, and what is answered."""
