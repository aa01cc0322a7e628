"""What one connection speaks: requests become bytes, and the bytes that come back become answers."""
