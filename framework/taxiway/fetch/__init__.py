"""Model files that lie elsewhere: named in a recipe, fetched by the parent process, pinned by SHA-256.

Credentials stay in the parent process: the worker gets a local path.
"""

from taxiway.fetch.location import LocationError, Remote, parse

__all__ = ["LocationError", "Remote", "parse"]
