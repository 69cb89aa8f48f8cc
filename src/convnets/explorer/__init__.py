"""The explorer: a page on this machine to look at networks, runs, and what a network sees.

Starlette and uvicorn, the extra ``web``, are imported by ``app`` and ``server`` alone. Nothing of
what a browser sends is written to disk.
"""
