"""What producer and processor must agree on: records, keys, topics, settings, errors, and how a topic is read.

Nothing here connects to anything at import, and nothing here may import the other packages.
"""
