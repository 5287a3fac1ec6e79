"""Partial results for whoever follows the run. They count against the log limit."""

from sandmill._host import refused_as
from sandmill.errors import HostError


def progress(percent: float, text: str = "") -> None:
    """`percent` from 0 to 100."""
    with refused_as(HostError) as host:
        host.output_progress(float(percent), text)


def write(chunk: str | bytes | bytearray | memoryview) -> None:
    """Appends to the run's output stream."""
    with refused_as(HostError) as host:
        host.output_write(chunk.encode() if isinstance(chunk, str) else bytes(chunk))
