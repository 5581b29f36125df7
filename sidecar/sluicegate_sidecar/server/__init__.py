"""The gRPC face: protobuf to values and back, errors to status codes, and nothing else.

A file for each service of `sluicegate.v1`; none of them decides anything.
"""
