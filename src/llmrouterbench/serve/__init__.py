"""The server: an OpenAI-compatible endpoint that routes. Without the extra `serve` an ImportError names it."""

from importlib.util import find_spec

for _needed in ("fastapi", "prometheus_client"):
    if find_spec(_needed) is None:
        raise ImportError(f"serve needs {_needed}; pip install 'llmrouterbench[serve]'")
