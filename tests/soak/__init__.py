"""Threads use stores for a long time while requests go wrong at random, and every answer is checked.

python -m tests.soak --seconds 600 --seed 1
"""
