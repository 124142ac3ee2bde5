"""What every answer passes on its way out, whoever gave it."""
