"""Capture: a session as it was told to us, checked against limits, tagged with its variant, and put on the stream.

What is acknowledged is in Redis. Nothing here judges, and nothing here knows of gRPC.
"""
