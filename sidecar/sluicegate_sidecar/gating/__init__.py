"""Gating: one atomic step inside Redis that logs a score once, moves the window, judges the gates and halts a variant.

The rule itself is `sluicegate.gate`; `gates.lua` computes the same, double for double. Nothing here decides a ramp,
and a halt is never taken back.
"""
