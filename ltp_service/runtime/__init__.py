"""What a process needs whatever it is about: time, greenlets, runners, logs, a database. No word of markets."""
