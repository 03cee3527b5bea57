"""Programs that are copied into a bundle. They import nothing of Taxiway."""
