"""What can be set, and from where: environment, .env, YAML."""
