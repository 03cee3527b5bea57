"""A plugin package for Taxiway."""
