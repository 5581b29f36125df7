"""Evidence out of the score log: what was found about the run so far. Pure but for the reading of the log.

Nothing here decides, and nothing here knows who asked. Replaying the same log gives the same state, bit for bit.
"""
