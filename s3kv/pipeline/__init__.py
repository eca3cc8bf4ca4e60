"""The life of one request: the only place where requests are signed, judged and tried again.

``life`` is that life as a generator that does no I/O. ``driver`` carries out what it asks for in a thread
of its own, ``multiplex`` for many in one thread; ``express`` sends the first attempts of plain requests,
and ``batch`` hands out what came of many.
"""
