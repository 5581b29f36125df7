"""Simulated experiments for the benchmarks: worlds whose truth is known, and the rules that must decide in them.

The rule under test is the project's own code; its rivals are here only to be compared with.
"""
