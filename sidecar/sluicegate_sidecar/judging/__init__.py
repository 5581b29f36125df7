"""Judging: sessions off the stream, a verdict from the judge, a score on to whoever gates.

A judgement that fails is tried again and then set aside with its reason; it is never a number. The judge never learns
which variant it scores, and what it reads is data, never instructions.
"""
