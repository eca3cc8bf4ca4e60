"""What the store does, one module an operation, each a generator over the life of its requests.

An operation yields what its requests yield, so whatever drives a request drives an operation of
several requests too. Missing objects and conditions that do not hold are results here.
"""
