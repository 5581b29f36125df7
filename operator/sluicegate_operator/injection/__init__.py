"""Gives a pod its sidecar as it is created, and keeps the certificate by which the API server trusts us to.

What is added and which certificate is to be are pure decisions. Injection knows nothing of experiments or of Redis.
"""
