"""Asking a pool of models, once each: the client, caches, budgets, stored replies."""
