"""Calling a model: one engine for collect, serve, judges and embedders."""
