"""Which blob store an installation has, by NOVIX_BLOB_STORE."""

import pytest

from runtime.blobs.folder import FolderStore
from runtime.blobs.s3 import S3Store
from runtime.blobs.stores import open_store
from runtime.settings import BadSettings, Settings


@pytest.mark.parametrize(
    ("address", "kind", "where"),
    [
        ("", FolderStore, "home/blobs"),
        ("{tmp}/elsewhere", FolderStore, "elsewhere"),
        ("file://{tmp}/elsewhere", FolderStore, "elsewhere"),
    ],
)
def test_a_folder_is_the_default(tmp_path, address, kind, where):
    store = open_store(Settings(home=tmp_path / "home", blob_store=address.format(tmp=tmp_path)))

    assert isinstance(store, kind)
    assert store._folder == tmp_path / where


def test_an_s3_address_names_bucket_and_prefix():
    store = open_store(Settings(blob_store="s3://bucket/some/prefix/", s3_endpoint="http://127.0.0.1:1"))

    assert isinstance(store, S3Store)
    assert store._at("a") == {"Bucket": "bucket", "Key": "some/prefix/a"}


@pytest.mark.parametrize("address", ["gs://bucket", "s3://", "s3://user:secret@bucket/x", "s3://[", "http://x/y"])
def test_any_other_address_is_refused_without_showing_it(address):
    with pytest.raises(BadSettings, match="NOVIX_BLOB_STORE") as caught:
        open_store(Settings(blob_store=address))

    assert "secret" not in str(caught.value)
