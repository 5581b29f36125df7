"""Turns YAML files with Experiment and EvaluationPolicy resources into frozen values, or lists all their errors.

The schema, its defaults, its rules and their messages are those of the CustomResourceDefinitions, so that a file gets
the same verdict here as from a Kubernetes API server, save that unknown fields and doubtful YAML are errors here.
Nothing is decided here about a run, and neither side nor Redis nor Kubernetes is known.
"""
