"""Decisions about the ramp, as pure functions of the resource, the state, the evidence and the time.

Nothing here reads or writes anything; whoever calls decides what to do with the answer.
"""
