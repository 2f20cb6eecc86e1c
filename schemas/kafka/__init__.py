"""Kafka for both sides: what their clients are configured with, how a topic is read, when what was written is safe."""
