"""Training, certifying and writing the models under models/ (see models/README.md)."""
