"""The version of the project: all four commands are released together."""

__version__ = "0.1.0"
