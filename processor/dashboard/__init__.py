"""The web pages: what the topics say of each mail, folded by Faust, shown to people. It can only read.

What people do from a page (requeue, discard, resolve) goes through the same code as the commands.
"""
