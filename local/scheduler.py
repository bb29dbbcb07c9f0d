"""Replaces Cloud Scheduler: posts to one URL at an interval."""

from __future__ import annotations

import threading
import urllib.error
import urllib.request
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from local import identity

_TIMEOUT_SECONDS = 180.0
"""Seconds that Cloud Scheduler waits for an answer by default."""


def make_request(
    url: str, *, job: str, key: identity.Key, email: str, now: datetime
) -> urllib.request.Request:
    """Make the request that Cloud Scheduler would send at the moment `now`.

    Its token names the service account `email` and the audience `url`. Its headers are those that
    Cloud Scheduler documents for HTTP targets.
    """
    token = identity.mint(key=key, audience=url, email=email, now=now)
    return urllib.request.Request(
        url,
        method="POST",
        data=b"",
        headers={
            "Authorization": f"Bearer {token}",
            "User-Agent": "Google-Cloud-Scheduler",
            "X-CloudScheduler": "true",
            "X-CloudScheduler-JobName": job,
            "X-CloudScheduler-ScheduleTime": now.isoformat().replace("+00:00", "Z"),
        },
    )


class Scheduler:
    """Posts to a URL at an interval, in its own thread, until it is stopped.

    Args:
        url: address that is called; also the audience of the tokens.
        job: name of the job, e.g. `sweep`.
        key: signs the tokens.
        email: service account that the tokens name.
        every: time from one call to the next, and before the first call.
        say: called with a sentence when a call fails after a success.
    """

    def __init__(
        self,
        *,
        url: str,
        job: str,
        key: identity.Key,
        email: str,
        every: timedelta,
        say: Callable[[str], None],
    ) -> None:
        self._url = url
        self._job = job
        self._key = key
        self._email = email
        self._every = every.total_seconds()
        self._say = say
        self._failing = False
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"scheduler-{job}", daemon=True)
        # Loopback is never reached through a proxy.
        self._opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))

    def start(self) -> None:
        """Begin to wait for the first call."""
        self._thread.start()

    def stop(self) -> None:
        """Make no further call. A call under way continues."""
        self._stopping.set()

    def join(self) -> None:
        """Wait until a call that is under way has ended."""
        self._thread.join()

    def call(self) -> str | None:
        """Post once; return the error as text, or None."""
        request = make_request(
            self._url, job=self._job, key=self._key, email=self._email, now=datetime.now(UTC)
        )
        try:
            with self._opener.open(request, timeout=_TIMEOUT_SECONDS):
                return None
        except urllib.error.HTTPError as error:
            return f"it answered {error.code}"
        except OSError as error:
            return f"it could not be reached ({error})"

    def _run(self) -> None:
        while not self._stopping.wait(self._every):
            failure = self.call()
            if failure and not self._failing and not self._stopping.is_set():
                self._say(f"The {self._job} job failed: {failure}; it is tried again as scheduled.")
            self._failing = failure is not None
