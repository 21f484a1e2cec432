"""The version of the package, which is that of the command it needs."""

__version__ = "0.2.0"
