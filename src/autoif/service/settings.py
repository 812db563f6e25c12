"""The settings of `autoif serve`, and its token, without which other machines can't be served."""

import ipaddress
import os
import socket
from pathlib import Path
from typing import Final

from pydantic import Field

from autoif.errors import ConfigError
from autoif.given_values import Settings
from autoif.sandbox import SandboxSettings

TOKEN_VARIABLE: Final = "AUTOIF_SERVICE_TOKEN"
SHORTEST_TOKEN: Final = 16


class ServiceSettings(Settings):
    """How a server listens, and how much it takes on."""

    host: str = "127.0.0.1"
    port: int = Field(default=8420, ge=0, le=65535)
    """0 takes a free one."""
    token: str = Field(default="", repr=False)
    """What clients must send; "" asks for none."""
    sandbox: SandboxSettings = SandboxSettings()
    """Its workers are the functions that run at the same time."""
    queue: int = Field(default=256, ge=1)
    """Requests taken on at the same time, those waiting included."""
    queue_mb: int = Field(default=256, ge=1)
    """MiB that they may hold together: the bytes of their bodies that have arrived, and their verdicts."""
    body_mb: int = Field(default=16, ge=1)
    """MiB of one body."""
    patience_s: float = Field(default=10.0, gt=0)
    """How long a client may keep the server waiting: for a head, for the next part of a body, to take an answer."""
    deadline_s: float = Field(default=60.0, gt=0)
    """Limit for one request, from its head to its answer."""
    grace_s: float = Field(default=30.0, ge=0)
    """How long requests in flight may go on when the server is told to stop."""


def read_token(file: Path | None) -> str:
    """Return the token from a file, else from the environment, else "".

    Never from the command line, which every user of the machine can read.

    Raises:
        ConfigError: the file can't be read, or the token is too short or can't be sent in a header.
    """
    if file is not None:
        source = str(file)
        try:
            token = file.read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigError(f"the token file {file} can't be read: {error}") from None
    elif TOKEN_VARIABLE in os.environ:
        source, token = TOKEN_VARIABLE, os.environ[TOKEN_VARIABLE].strip()
    else:
        return ""
    if len(token) < SHORTEST_TOKEN or not token.isascii() or not token.isprintable() or " " in token:
        raise ConfigError(
            f"the token in {source} must be at least {SHORTEST_TOKEN} ASCII characters without blanks: "
            "make one with `openssl rand -hex 32`"
        )
    return token


def require_token_beyond_loopback(settings: ServiceSettings) -> None:
    """Raise ConfigError if other machines could reach the server and no token keeps them out."""
    if not settings.token and not is_loopback(settings.host):
        raise ConfigError(
            f"{settings.host} can be reached from other machines: set {TOKEN_VARIABLE} or --token-file, "
            "or listen on 127.0.0.1"
        )


def is_loopback(host: str) -> bool:
    """Tell whether every address of this host is a loopback address. Raises ConfigError: it has no address."""
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        pass
    try:
        found = socket.getaddrinfo(host or None, None, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except (OSError, UnicodeError) as error:
        raise ConfigError(f"the host {host!r} has no address: {error}") from None
    return all(ipaddress.ip_address(address[4][0]).is_loopback for address in found)
