"""The version of the package, which must equal that of the command."""

__version__ = "0.2.0"
