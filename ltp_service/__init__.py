"""Last traded prices for programs that must be able to trust them."""
