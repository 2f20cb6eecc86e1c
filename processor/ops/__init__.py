"""Operators' tools. They read the topics and Redis; none of them can call SES."""
