"""The dedup set made anew from Kafka."""
