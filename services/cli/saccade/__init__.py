"""Saccade's command, its Python client and the embedded stack."""

from saccade.client import Client, Event, UploadedFile
from saccade.problems import SaccadeApiError, SaccadeUnreachable

__all__ = ["Client", "Event", "SaccadeApiError", "SaccadeUnreachable", "UploadedFile"]
