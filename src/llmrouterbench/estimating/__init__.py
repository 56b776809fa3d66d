"""Values of models and policies where not every model was asked every query."""
