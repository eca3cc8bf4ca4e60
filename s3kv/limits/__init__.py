"""How much goes on at once, and how fast: rate limits, and the limit on large copies."""
