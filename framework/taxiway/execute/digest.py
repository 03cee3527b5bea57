"""Content digests, by the name that the store's users know."""

from taxiway.safety.digest import digest_file, digest_json, digest_path, digest_tree

__all__ = ["digest_file", "digest_json", "digest_path", "digest_tree"]
