from __future__ import annotations

import pytest

from autokd.errors import ConflictError, NotFoundError
from autokd.store import Store

DIGEST = "ab" * 32


class TestUploads:
    def test_an_upload_waits_for_its_content(self, store: Store) -> None:
        made = store.add_upload("teacher", "resnet20", owner=2)
        assert (made.kind, made.name, made.owner) == ("teacher", "resnet20", 2)
        assert (made.state, made.size_bytes, made.sha256) == ("waiting", 0, None)
        assert (made.summary, made.error) == (None, None)
        assert store.upload(made.id) == made

    def test_content_makes_it_ready(self, store: Store) -> None:
        made = store.add_upload("data", "digits")
        summary = {"train": 8, "shape": [5, 4]}
        ready = store.end_upload(made.id, size_bytes=2**40, sha256=DIGEST, summary=summary)
        assert ready == store.upload(made.id)
        assert (ready.state, ready.size_bytes, ready.sha256) == ("ready", 2**40, DIGEST)
        assert (ready.summary, ready.error) == (summary, None)

    def test_content_that_is_refused_may_be_followed_by_better(self, store: Store) -> None:
        made = store.add_upload("data", "digits")
        refused = store.end_upload(made.id, size_bytes=0, sha256=DIGEST, error="no archive")
        assert (refused.state, refused.error) == ("refused", "no archive")
        ready = store.end_upload(made.id, size_bytes=1, sha256=DIGEST, summary={"train": 8})
        assert (ready.state, ready.error) == ("ready", None)

    def test_content_that_has_come_is_not_replaced(self, store: Store) -> None:
        made = store.add_upload("data", "digits")
        ready = store.end_upload(made.id, size_bytes=1, sha256=DIGEST)
        for error in (None, "no archive"):
            with pytest.raises(ConflictError, match="has its content already"):
                store.end_upload(made.id, size_bytes=2, sha256=DIGEST, error=error)
        assert store.upload(made.id) == ready

    def test_uploads_are_listed_oldest_first(self, store: Store) -> None:
        made = [store.add_upload("data", name) for name in ("c", "a", "b")]
        assert store.uploads() == made

    def test_bytes_are_counted_for_each_owner(self, store: Store) -> None:
        for owner, size in ((1, 5), (1, 2**40), (None, 3)):
            made = store.add_upload("data", "digits", owner)
            store.end_upload(made.id, size_bytes=size, sha256=DIGEST)
        sizes = [store.uploaded_bytes(owner) for owner in (1, 2, None)]
        assert sizes == [2**40 + 5, 0, 3]

    def test_a_removed_upload_is_gone_and_its_id_is_not_given_again(self, store: Store) -> None:
        made = store.add_upload("data", "digits")
        store.remove_upload(made.id)
        for method in ("upload", "remove_upload"):
            with pytest.raises(NotFoundError, match="no upload 1"):
                getattr(store, method)(made.id)
        assert store.add_upload("data", "digits").id > made.id

    def test_the_content_lies_in_the_folder_of_files(self, store: Store) -> None:
        teacher, data = (store.add_upload(kind, "../name") for kind in ("teacher", "data"))
        assert store.upload_path(teacher) == store.files / "uploads" / "1.safetensors"
        assert store.upload_path(data) == store.files / "uploads" / "2.npz"
