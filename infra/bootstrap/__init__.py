"""The set-up: `.venv` from the lock, and the stack's jars. Standard library only: it runs before anything is installed.

Whatever of it a Python may meet that is too old is `__main__.py`; everything else is written for 3.11.
"""
