"""The ``saccade`` command. Each subcommand is imported when it is called, so that all start quickly."""

from __future__ import annotations

from importlib import import_module
from importlib.metadata import version
from typing import Any

import click

_COMMANDS = {
    "up": "up",
    "init": "init",
    "doctor": "doctor",
    "run": "run",
    "jobs": "jobs",
    "show": "jobs",
    "watch": "jobs",
    "cancel": "jobs",
    "retry": "jobs",
    "delete": "jobs",
    "kinds": "jobs",
    "galleries": "galleries",
    "models": "models",
    "keys": "keys",
    "assets": "assets",
}


class Commands(click.Group):
    """Subcommands by name of their module; errors become messages that say what to do."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """In the order of their use."""
        del ctx
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import the module of the command."""
        del ctx
        if cmd_name not in _COMMANDS:
            return None
        return getattr(import_module(f"saccade.commands.{_COMMANDS[cmd_name]}"), cmd_name)

    def invoke(self, ctx: click.Context) -> Any:
        """Run the subcommand."""
        from saccade.problems import SaccadeApiError, SaccadeUnreachable
        from saccade.stack.errors import StackError
        from saccade.tables import api_error_text
        from saccade_core.errors import SaccadeError

        try:
            return super().invoke(ctx)
        except SaccadeUnreachable as error:
            raise click.ClickException(
                f"Nothing answers at {error.url}. Start a stack with `saccade up`, "
                "or name another address with --url or SACCADE_URL."
            ) from error
        except SaccadeApiError as error:
            raise click.ClickException(api_error_text(error)) from error
        except (StackError, SaccadeError) as error:
            raise click.ClickException(str(error)) from error


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(version("saccade"), prog_name="saccade")
def main() -> None:
    """Saccade, a self-hosted vision backend: start it, give it jobs, look at what they did."""
