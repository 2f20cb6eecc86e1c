"""What producer and processor must agree on: records, keys, topics, settings and errors.

Nothing here connects to anything, and nothing here may import the other packages.
"""
