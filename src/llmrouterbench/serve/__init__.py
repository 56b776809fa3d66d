"""The server: an OpenAI-compatible endpoint that routes. Needs the extra `serve`."""
