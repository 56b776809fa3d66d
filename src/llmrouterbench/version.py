"""The version of the package, here so that no room has to ask the package's front."""

__version__ = "0.1.0"
