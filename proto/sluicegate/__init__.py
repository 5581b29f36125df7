"""What the data plane and the control plane must compute identically, and nothing else.

Bucketing, the gate rule, Redis key names, and the values that one side writes and the other reads. No I/O happens
here, no clock is read, and neither side is imported.
"""
