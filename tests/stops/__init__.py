"""Drains and SIGTERMs by the hundred on real servers: every stop ends. ``python -m tests.stops --help``."""
