"""Waits out a ZenML server that cannot be reached."""

import time
from collections.abc import Callable
from typing import TypeVar

import requests
from zenml.logger import get_logger

from zenml_runai.orchestrators._constants import ZENML_OUTAGE_SECONDS, ZENML_RETRY_SECONDS

logger = get_logger(__name__)

T = TypeVar("T")

_AWAY = (
    requests.exceptions.ConnectionError,
    requests.exceptions.Timeout,
    requests.exceptions.RetryError,
)


def patiently(call: Callable[[], T]) -> T:
    """Make a call to ZenML, again and again while the server is away.

    ZenML's own client gives up after half a minute. What it was asked to write may have been
    written: callers must expect to find their own work.
    """
    deadline = time.monotonic() + ZENML_OUTAGE_SECONDS
    while True:
        try:
            return call()
        except _AWAY as error:
            if time.monotonic() >= deadline:
                raise
            logger.warning("ZenML does not answer (%s); trying again.", type(error).__name__)
            time.sleep(ZENML_RETRY_SECONDS)
