"""The stores that somebody handed out, and closes in the end."""

from __future__ import annotations

import threading
import weakref

from ..store import Store


class Opened:
    """Knows stores as long as somebody uses them.

    Mutable state, behind ``_lock``: ``_stores``, by identity, for equal stores are still two.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._stores: weakref.WeakValueDictionary[int, Store] = weakref.WeakValueDictionary()

    def add(self, store: Store) -> Store:
        """Remember a store, and return it."""
        with self._lock:
            self._stores[id(store)] = store
        return store

    def close(self) -> None:
        """Close all of them."""
        with self._lock:
            stores = list(self._stores.values())
            self._stores.clear()
        for store in stores:
            store.close()
