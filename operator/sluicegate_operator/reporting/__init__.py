"""Reports of a run, for people and programs: one value, and its faces as a table and as a page.

The value is made of the very evidence and decision that move the ramp, so that it cannot disagree with them. Nothing
here decides, reads or writes anything.
"""
