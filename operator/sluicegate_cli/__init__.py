"""The person's desk: every command that is typed at a prompt.

The only room that may import both sides, and it does so lazily: a command loads what it runs and nothing else.
"""
