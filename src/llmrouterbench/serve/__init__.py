"""The server: any OpenAI client in front, any pool of models behind, a fitted router between.

Raises ImportError where its extra is missing.
"""

from importlib.util import find_spec

for _needed in ("fastapi", "prometheus_client"):
    if find_spec(_needed) is None:
        raise ImportError(f"serve needs {_needed}; pip install 'llmrouterbench[serve]'")
