"""What is answered: a price, and how far it may be trusted."""
