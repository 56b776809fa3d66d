"""Embedders, one file each; `llmrouterbench.embedders.vectors.make_embedder` names them."""
