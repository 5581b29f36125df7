"""The data plane: a sidecar beside each agent pod, and the judge workers.

It assigns callers to variants, captures sessions, has a judge score a sample of them, and shuts out a variant whose
gate breaks. It never imports the control plane, and an `Assign` never waits for anything outside the process.
"""
