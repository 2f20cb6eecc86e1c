"""The protocol's decisions as plain functions and values: no I/O, no clock, no randomness of its own."""
