"""Ways to send a signed request and read its whole answer.

``sockets`` is the built-in transport, ``session`` sends through a ``requests.Session``; both follow
``protocol``.
"""
