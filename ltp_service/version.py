"""The version, for logs, metrics and answers."""

VERSION = "0.1.0"
