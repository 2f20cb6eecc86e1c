"""The asyncio shell: drives the engine of `processor.core`, which does no I/O, by Kafka, Redis, SES and time."""
