"""``saccade init``: the secrets of a Compose stack."""

from __future__ import annotations

import os
import secrets
from pathlib import Path

import click

_EXAMPLE, _ENV = ".env.example", ".env"
_SOCKET = Path("/var/run/docker.sock")


@click.command()
@click.option(
    "--folder",
    type=click.Path(file_okay=False, exists=True, path_type=Path),
    default=Path(),
    help="Where docker-compose.yml and .env.example are  [default: here]",
)
def init(*, folder: Path) -> None:
    """Write .env for `docker compose`, with fresh secrets; one that is there is left as it is."""
    example, env = folder / _EXAMPLE, folder / _ENV
    if not example.is_file():
        raise click.ClickException(f"There is no {_EXAMPLE} in {folder.resolve()}; run this in a checkout of Saccade.")
    text = "".join(_filled(line) for line in example.read_text("utf-8").splitlines(keepends=True))
    try:
        descriptor = os.open(env, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        raise click.ClickException(
            f"{env} is there already: its secrets are those of the stack's data. Move it away to begin anew."
        ) from None
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
    click.echo(f"Wrote {env}, readable by you alone. SACCADE_ADMIN_KEY in it is the key for the API.")


def _filled(line: str) -> str:
    """The line, with a secret where its value is missing, and with this machine's group of the Docker socket."""
    name, equals, value = line.rstrip("\n").partition("=")
    if name == "DOCKER_GID" and _SOCKET.exists():
        return f"{name}={_SOCKET.stat().st_gid}\n"
    if line.startswith("#") or not equals or value:
        return line
    return f"{name}={'sk_' if name == 'SACCADE_ADMIN_KEY' else ''}{secrets.token_urlsafe(32)}\n"
