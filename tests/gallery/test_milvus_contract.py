"""Milvus beside a dictionary, as every other store: Milvus Lite, and a server if one is named."""

import os
import secrets
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from test_store_contract import DIMENSION, KEEP_DAYS, StoreMachine

from reid_attn.gallery import Gallery

pytest.importorskip("pymilvus", reason="the extra milvus is not installed")
pytest.importorskip("milvus_lite", reason="the extra milvus is not installed")

SERVER = os.environ.get("REID_ATTN_MILVUS", "")


class LiteMachine(StoreMachine):
    """The store in a folder of Milvus Lite."""

    def make(self):
        self.folder = tempfile.TemporaryDirectory()
        self.before = Path.cwd()
        os.chdir(self.folder.name)  # receipts are written below it
        self.place = self.address()
        options = {"fingerprint": "a", "dimension": DIMENSION, "keep_days": KEEP_DAYS}
        Gallery.create(self.place, **options)
        self.gallery = self.open()

    def address(self):
        return "milvus:people.db/people"

    def open(self):
        return Gallery.open(self.place)

    def teardown(self):
        super().teardown()
        if hasattr(self, "folder"):
            os.chdir(self.before)
            self.folder.cleanup()


class ServerMachine(LiteMachine):
    """The store in a Milvus server, whose collections are dropped in the end."""

    def address(self):
        return f"milvus:{SERVER}/test_{secrets.token_hex(8)}"

    def teardown(self):
        super().teardown()
        if hasattr(self, "place"):
            from pymilvus import MilvusClient

            client = MilvusClient(SERVER)
            name = self.place.rpartition("/")[2]
            for collection in (name, f"{name}_state"):
                client.drop_collection(collection)
            client.close()


checks = {"deadline": None, "derandomize": True, "suppress_health_check": list(HealthCheck)}

TestLite = LiteMachine.TestCase
TestLite.settings = settings(max_examples=3, stateful_step_count=15, **checks)

TestServer = pytest.mark.skipif(not SERVER, reason="REID_ATTN_MILVUS names no server")(
    ServerMachine.TestCase
)
TestServer.settings = settings(max_examples=1, stateful_step_count=15, **checks)
