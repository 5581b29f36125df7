"""Which variant a unit gets now: the snapshot in force, the halts, and the pure rule over both.

Nothing here waits for Redis when an assignment is asked for, and nothing here knows of gRPC.
"""
