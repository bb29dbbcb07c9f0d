"""The story told once, over servers of its own, for all tests of a session that look at it.

A pytest plugin: `pytest_plugins = ["tests.support.told"]`.
"""

from __future__ import annotations

from collections.abc import Iterator

import google.cloud.storage as storage
import pytest
from google.auth.credentials import AnonymousCredentials
from google.cloud import firestore

from local.emulators.firestore import serve as serve_firestore
from local.emulators.storage import serve as serve_storage
from tests.support import story
from tests.support.pipeline import BUCKET, Pipeline


@pytest.fixture(scope="session")
def told(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pipeline]:
    """The pipeline after the story; tests only look."""
    data = tmp_path_factory.mktemp("told")
    database = serve_firestore(data=data / "firestore")
    bucket = serve_storage(data=data / "storage", buckets=[BUCKET])
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FIRESTORE_EMULATOR_HOST", f"127.0.0.1:{database.port}")
        client = storage.Client(
            project="told",
            credentials=AnonymousCredentials(),  # type: ignore[no-untyped-call]
            client_options={"api_endpoint": f"http://127.0.0.1:{bucket.port}"},
        )
        settings = story.mailing(data / "mail")
        pipeline = Pipeline.over(firestore.Client(project="told"), client, **settings)
    story.tell(pipeline, days=4)
    yield pipeline
    bucket.stop()
    database.stop()
