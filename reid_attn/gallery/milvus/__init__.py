"""A gallery in Milvus: a server or cluster, or one process with a folder (Milvus Lite)."""

from .address import is_address
from .store import MilvusStore

__all__ = ["MilvusStore", "is_address"]
