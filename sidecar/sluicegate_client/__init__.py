"""The agent's end of the socket: asks the sidecar for an assignment and hands it the finished session.

An agent never waits for Sluicegate longer than its deadline and never fails because of it: without an answer the
built-in default holds. Of our own rooms only `sluicegate` is imported here.
"""
