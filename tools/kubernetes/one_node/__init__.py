"""A Kubernetes of one node on a plain Linux machine: real parts, without Docker and without systemd.

Everything runs in network, mount, process, host name and IPC namespaces of its own, with no route out: nothing of the
machine's network, sysctls or mounts is touched, no port is taken, and when its first process ends all of it ends. So
images are built and brought along; whatever talks to the cluster goes inside.
"""
