"""The operator: the experiments and policies of a cluster, looked at as files are, with their state in the status.

Watching is a hint, looking is the work: each look reads what is asked for and what is known, and is safe to repeat.
kopf is known to handlers.py and app.py alone. Nothing here writes a spec, and nothing keeps a finalizer.
"""
