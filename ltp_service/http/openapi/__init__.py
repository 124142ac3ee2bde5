"""What the HTTP API promises, as an OpenAPI 3.1 document."""
