"""Package list only: code is found under framework/, the shipped YAML and JSON are mapped in by pyproject.toml."""

from setuptools import find_packages, setup

setup(packages=[*find_packages("framework"), "taxiway.conf", "taxiway.recipes", "taxiway.schemas"])
