"""Kafka, Redis, SES and the clock, behind the ports."""
