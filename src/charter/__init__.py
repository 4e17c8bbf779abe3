"""Charter: the whole safety-alignment loop of a language model, from one document. See README.md."""

__version__ = "0.1.0"
