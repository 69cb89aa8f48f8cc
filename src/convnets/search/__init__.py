"""Search for architectures, and for the constants that scale one."""
