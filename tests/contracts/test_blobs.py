"""Blob stores: one suite for all. The folder, and S3 against a real server that speaks it (S3Proxy)."""

import asyncio
import hashlib
import os
import secrets
from datetime import UTC, datetime, timedelta

import pytest
from aiobotocore.session import get_session
from botocore.exceptions import BotoCoreError, ClientError

from runtime.blobs import BlobDamaged, BlobMissing, BlobTooLarge, BlobUnavailable
from runtime.blobs import s3 as s3_store
from runtime.blobs.folder import FolderStore
from runtime.blobs.s3 import S3Store

PNG = b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 40
LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)
BUCKET = f"payloads-{secrets.token_hex(4)}"


@pytest.fixture(scope="module")
def s3_here(s3):
    """The S3 server, with its credentials in the environment and a bucket on it."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in s3.environment.items():
            patch.setenv(name, value)
        asyncio.run(_bucket(s3.endpoint))
        yield s3


async def _bucket(endpoint):
    async with get_session().create_client("s3", region_name="us-east-1", endpoint_url=endpoint) as client:
        await client.create_bucket(Bucket=BUCKET)


@pytest.fixture(params=["folder", "s3"])
def another(request, tmp_path):
    """Opens the same, empty, store as another process would."""
    if request.param == "folder":
        return lambda: FolderStore(tmp_path / "blobs")
    server, prefix = request.getfixturevalue("s3_here"), f"t/{secrets.token_hex(4)}"
    return lambda: S3Store(BUCKET, prefix, endpoint=server.endpoint)


@pytest.fixture
async def store(another):
    async with another() as opened:
        yield opened


def in_a_minute():
    return datetime.now(UTC) + timedelta(minutes=1)


async def listed(store):
    return {info.sha256: info.bytes async for info in store.all()}


async def test_what_is_put_comes_back_with_its_type_under_its_sha256(store):
    sha256 = await store.put(PNG, "image/png")

    blob = await store.get(sha256, max_bytes=len(PNG))

    assert sha256 == hashlib.sha256(PNG).hexdigest()
    assert (blob.data, blob.media_type) == (PNG, "image/png")


async def test_a_blob_may_be_empty(store):
    sha256 = await store.put(b"", "text/plain")

    assert (await store.get(sha256, max_bytes=0)).data == b""


async def test_another_process_sees_it(store, another):
    sha256 = await store.put(PNG, "image/png")

    async with another() as elsewhere:
        assert (await elsewhere.get(sha256, max_bytes=10**6)).data == PNG


async def test_the_same_bytes_twice_are_one_blob_that_is_young_again(store):
    first = await store.put(PNG, "image/png")
    before = await store.info(first)
    second = await store.put(PNG, "image/png")
    after = await store.info(second)

    assert first == second
    assert await listed(store) == {first: len(PNG)}
    assert before.touched_at <= after.touched_at
    assert (after.bytes, after.media_type) == (len(PNG), "image/png")


async def test_what_is_not_there_is_missing(store):
    nobodys = hashlib.sha256(b"nobody's").hexdigest()

    with pytest.raises(BlobMissing, match=nobodys):
        await store.get(nobodys, max_bytes=10)
    assert await store.info(nobodys) is None
    assert not await store.remove(nobodys, untouched_since=in_a_minute())


@pytest.mark.parametrize("name", ["", "../../etc/passwd", "A" * 64, "a" * 63, "é" * 64, "a" * 64 + "\n"])
async def test_a_name_that_is_no_digest_reaches_no_store(store, name):
    for call in (store.get(name, max_bytes=1), store.info(name), store.remove(name, untouched_since=in_a_minute())):
        with pytest.raises(BlobMissing, match=f"{len(name)} characters"):
            await call


async def test_a_blob_larger_than_taken_is_refused_with_both_sizes(store):
    sha256 = await store.put(PNG, "image/png")

    with pytest.raises(BlobTooLarge, match=rf"{len(PNG)} bytes.* {len(PNG) - 1}"):
        await store.get(sha256, max_bytes=len(PNG) - 1)
    assert (await store.get(sha256, max_bytes=len(PNG))).data == PNG, "and the store goes on"


async def test_what_is_removed_is_gone(store):
    sha256 = await store.put(PNG, "image/png")

    assert await store.remove(sha256, untouched_since=in_a_minute())
    assert await store.info(sha256) is None
    assert await listed(store) == {}
    assert await store.put(PNG, "image/png") == sha256
    assert (await store.get(sha256, max_bytes=10**6)).data == PNG


async def test_what_was_put_again_since_is_not_removed(store):
    sha256 = await store.put(PNG, "image/png")

    assert not await store.remove(sha256, untouched_since=LONG_AGO)
    assert (await store.get(sha256, max_bytes=10**6)).data == PNG


async def test_all_lists_every_blob_once(store):
    put = {await store.put(f"blob {number}".encode(), "text/plain"): len(f"blob {number}") for number in range(25)}

    assert await listed(store) == put


async def test_many_at_once_put_and_read_the_same_blob(store, another):
    async with another() as second:
        digests = await asyncio.gather(*(which.put(PNG, "image/png") for which in (store, second) for _ in range(8)))
        blobs = await asyncio.gather(*(which.get(digests[0], max_bytes=10**6) for which in (store, second) * 4))

    assert len(set(digests)) == 1
    assert all(blob.data == PNG for blob in blobs)


async def test_a_cancelled_put_leaves_the_store_usable(store):
    task = asyncio.create_task(store.put(PNG * 100, "image/png"))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task

    assert (await store.get(await store.put(PNG, "image/png"), max_bytes=10**6)).data == PNG


async def test_a_closed_store_says_so(another):
    store = another()
    async with store:
        pass

    with pytest.raises(BlobUnavailable):
        await store.put(PNG, "image/png")


# the folder


@pytest.fixture
async def folder(tmp_path):
    async with FolderStore(tmp_path / "blobs") as opened:
        yield opened


def files(folder):
    return [path for path in (folder / "blobs").rglob("*") if path.is_file()]


def place(tmp_path, sha256):
    return tmp_path / "blobs" / sha256[:2] / sha256


async def test_only_the_owner_may_read_what_lies_in_the_folder(folder, tmp_path):
    await folder.put(PNG, "image/png")

    assert {path.stat().st_mode & 0o777 for path in files(tmp_path)} == {0o600}
    assert (tmp_path / "blobs" / "unfinished").stat().st_mode & 0o777 == 0o700


async def test_a_damaged_blob_is_never_given_and_putting_it_again_heals_it(folder, tmp_path):
    sha256 = await folder.put(PNG, "image/png")
    place(tmp_path, sha256).write_bytes(PNG[:-1] + b"?")

    with pytest.raises(BlobDamaged, match=sha256):
        await folder.get(sha256, max_bytes=10**6)
    await folder.put(PNG, "image/png")

    assert (await folder.get(sha256, max_bytes=10**6)).data == PNG


async def test_a_full_disk_leaves_no_half_blob_and_no_unfinished_file(folder, tmp_path, monkeypatch):
    full = OSError(28, "No space left on device", "/secret/path")

    def no_room(handle):
        raise full

    monkeypatch.setattr(os, "fsync", no_room)
    with pytest.raises(BlobUnavailable, match="ENOSPC") as caught:
        await folder.put(PNG, "image/png")
    monkeypatch.undo()

    assert "/secret" not in str(caught.value)
    assert await listed(folder) == {}
    assert [path.name for path in files(tmp_path) if path.name != "lock"] == []


async def test_putting_and_removing_the_same_blob_at_once_never_loses_a_put(folder):
    """Whoever put last finds it: a removal takes only what was not touched since."""
    for round_ in range(30):
        data = f"round {round_}".encode()
        sha256 = await folder.put(data, "text/plain")
        since = datetime.now(UTC) - timedelta(hours=1)
        os.utime(folder._path(sha256), (0, 0))
        await asyncio.gather(
            folder.put(data, "text/plain"), folder.remove(sha256, untouched_since=since), folder.put(data, "text/plain")
        )
        assert (await folder.get(sha256, max_bytes=100)).data == data


async def test_what_a_killed_process_left_unfinished_is_swept_a_day_later(tmp_path):
    async with FolderStore(tmp_path / "blobs"):
        left, fresh = (tmp_path / "blobs" / "unfinished" / name for name in ("old", "new"))
        left.write_bytes(b"half")
        fresh.write_bytes(b"half")
        os.utime(left, (0, 0))
    async with FolderStore(tmp_path / "blobs") as again:
        assert await listed(again) == {}

    assert (left.exists(), fresh.exists()) == (False, True)


async def test_a_folder_that_cannot_be_made_is_unavailable(tmp_path):
    (tmp_path / "file").write_bytes(b"")

    with pytest.raises(BlobUnavailable, match="ENOTDIR"):
        async with FolderStore(tmp_path / "file" / "blobs"):
            pass


# S3


async def test_a_wrong_key_is_unavailable_and_named_nowhere(s3_here, monkeypatch):
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKCANARYCANARY")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "canarysecretcanary")

    async with S3Store(BUCKET, endpoint=s3_here.endpoint) as store:
        with pytest.raises(BlobUnavailable, match="status 403") as caught:
            await store.put(PNG, "image/png")

    assert "canary" not in f"{caught.value} {caught.value.__cause__}".lower()


async def test_a_bucket_that_is_not_there_is_unavailable_not_missing(s3_here):
    async with S3Store("nobodys-bucket", endpoint=s3_here.endpoint) as store:
        with pytest.raises(BlobUnavailable, match="NoSuchBucket"):
            await store.get("a" * 64, max_bytes=1)
        with pytest.raises(BlobUnavailable, match="NoSuchBucket"):
            await store.put(PNG, "image/png")


async def test_a_server_that_is_not_there_is_unavailable_within_its_attempts(s3_here):
    async with S3Store(BUCKET, endpoint="http://127.0.0.1:9") as store:
        with pytest.raises(BlobUnavailable, match="EndpointConnectionError"):
            await store.put(PNG, "image/png")


async def test_an_answer_that_breaks_off_is_unavailable(monkeypatch):
    """A server that promises more bytes than it sends, each time it is asked."""

    async def answer(reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nhalf of it")
        await writer.drain()
        writer.close()

    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "canary")
    server = await asyncio.start_server(answer, "127.0.0.1")
    port = server.sockets[0].getsockname()[1]
    async with server, S3Store(BUCKET, endpoint=f"http://127.0.0.1:{port}") as store:
        with pytest.raises(BlobUnavailable, match="does not answer"):
            await store.get("a" * 64, max_bytes=10**6)


LISTED = b"<ListBucketResult><Contents><Key>" + b"a" * 64 + b"</Key>%s</Contents></ListBucketResult>"


@pytest.mark.parametrize(
    "answer",
    [
        b"transfer-encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
        b"last-modified: canary\r\ncontent-length: 5\r\n\r\nhello",
        b"content-length: %d\r\n\r\n%s" % (len(LISTED % b"<Size>canary</Size>"), LISTED % b"<Size>canary</Size>"),
        b"content-length: %d\r\n\r\n%s" % (len(LISTED % b""), LISTED % b""),
    ],
    ids=["no length", "no date", "a size that is no number", "no size"],
)
async def test_an_answer_without_what_s3_promises_is_unavailable(monkeypatch, answer):
    async def handle(reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nconnection: close\r\n" + answer)
        await writer.drain()
        writer.close()

    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "canary")
    server = await asyncio.start_server(handle, "127.0.0.1")
    port = server.sockets[0].getsockname()[1]
    async with server, S3Store(BUCKET, endpoint=f"http://127.0.0.1:{port}") as store:
        with pytest.raises(BlobUnavailable) as caught:
            await (listed(store) if b"List" in answer else store.get("a" * 64, max_bytes=10**6))

    assert "canary" not in str(caught.value)


def test_every_error_of_the_library_is_told_as_ours_without_its_text():
    def all_of(kind):
        return {kind}.union(*(all_of(one) for one in kind.__subclasses__()))

    canary = {"name": "canary", "error": "canary", "endpoint_url": "http://canary"}
    errors = [kind.__new__(kind) for kind in all_of(BotoCoreError)]
    errors.append(ClientError({"Error": {"Code": "canary canary", "Message": "canary"}}, "canary"))

    for error in errors:
        error.args, error.kwargs = ("canary",), canary
        with pytest.raises(BlobUnavailable) as caught, s3_store._told("a" * 64):
            raise error
        assert "canary" not in str(caught.value), type(error)
        assert caught.value.__suppress_context__


def test_an_error_of_our_own_is_not_taken_for_the_stores():
    with pytest.raises(ZeroDivisionError), s3_store._told():
        raise ZeroDivisionError


async def test_what_another_wrote_under_a_blobs_name_is_damaged(s3_here):
    sha256 = hashlib.sha256(PNG).hexdigest()
    async with get_session().create_client("s3", region_name="us-east-1", endpoint_url=s3_here.endpoint) as client:
        await client.put_object(Bucket=BUCKET, Key=f"damaged/{sha256}", Body=b"something else")
        await client.put_object(Bucket=BUCKET, Key="damaged/readme.txt", Body=b"no blob of ours")

    async with S3Store(BUCKET, "damaged", endpoint=s3_here.endpoint) as store:
        with pytest.raises(BlobDamaged, match=sha256):
            await store.get(sha256, max_bytes=100)
        assert list(await listed(store)) == [sha256]


async def test_in_a_versioned_bucket_the_version_that_was_looked_at_is_removed(monkeypatch):
    """S3Proxy keeps no versions: the requests are what is looked at."""
    asked = []

    class Bucket:
        async def head_object(self, **_):
            return {"LastModified": LONG_AGO, "VersionId": "v1", "ContentLength": 3}

        async def delete_object(self, **what):
            asked.append(what)

    store = S3Store(BUCKET, "p")
    store._s3 = Bucket()
    assert await store.remove("a" * 64, untouched_since=datetime.now(UTC))

    assert asked == [{"Bucket": BUCKET, "Key": "p/" + "a" * 64, "VersionId": "v1"}]
