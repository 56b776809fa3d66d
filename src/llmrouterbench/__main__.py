"""`python -m llmrouterbench` is `llmrouterbench`."""

from llmrouterbench.cli import main

if __name__ == "__main__":
    main()
