"""The control plane: reads the score log, weighs the evidence, moves the ramp, publishes snapshots and sends alerts.

Decisions are pure and are given the time; Kubernetes and Redis are at the edge. It never imports the sidecar.
"""
