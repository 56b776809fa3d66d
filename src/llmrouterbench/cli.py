"""The command line; its commands are the files of `commands/`."""

from __future__ import annotations

from importlib import import_module
from pkgutil import iter_modules

from llmrouterbench import commands
from llmrouterbench.commands.app import app, say
from llmrouterbench.files import say_plainly

CTRL_C = 130
"""Exit code after Ctrl-C, as in a shell."""

for _found in iter_modules(commands.__path__):
    import_module(f"{commands.__name__}.{_found.name}")  # every command joins the app


def main() -> None:
    """Entry point: exit code 0 when the work is done, 1 when it failed, 2 on bad usage, 130 on Ctrl-C."""
    try:
        app()
    except SystemExit as stop:
        if stop.code == CTRL_C:
            say("stopped; what was finished is kept: run the same command again to go on")
        raise
    except (ValueError, KeyError, OSError, ImportError) as error:
        text = error.args[0] if isinstance(error, KeyError) and error.args else error
        say(f"error: {say_plainly(error) if isinstance(error, OSError) else text}")
        raise SystemExit(1) from None


if __name__ == "__main__":
    main()
