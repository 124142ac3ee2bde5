"""What the service costs, measured on this machine: `make bench`. Imported by nothing."""
