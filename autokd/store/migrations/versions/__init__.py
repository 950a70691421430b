"""One file per version; its `revision` also stands in `autokd.store.schema.REVISIONS`."""
