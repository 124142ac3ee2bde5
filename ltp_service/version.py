"""The version, as logs, metrics and answers tell it."""

VERSION = "0.1.0"
