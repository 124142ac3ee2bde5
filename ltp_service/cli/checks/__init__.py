"""What `ltp doctor` looks at: one module per subject."""
