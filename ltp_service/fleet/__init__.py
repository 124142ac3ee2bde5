"""Which of many processes feeds them all, and how the others learn what it knows."""
