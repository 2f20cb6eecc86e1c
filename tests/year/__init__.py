"""A time-lapse: fourteen months on real Kafka and Valkey in a few minutes. ``python -m tests.year --help``."""
