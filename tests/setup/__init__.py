"""The set-up: locks, platforms, jars, and a set-up that was interrupted."""
