"""Embedders, one file each; `llmrouterbench.embed.make_embedder` names them."""
