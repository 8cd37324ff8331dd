"""Blobs in an S3 bucket, or in any server that speaks S3: one object for each, `{prefix}/{sha256}`.

Credentials are those that every AWS client finds: `AWS_ACCESS_KEY_ID` and `AWS_SECRET_ACCESS_KEY` (and
`AWS_SESSION_TOKEN`), a profile, or the role of the machine.
"""

import functools
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import AsyncExitStack, contextmanager
from datetime import datetime, timedelta
from typing import Any, Self

from aiobotocore.config import AioConfig
from aiobotocore.session import get_session

from runtime.blobs import Blob, BlobDamaged, BlobInfo, BlobMissing, BlobTooLarge, BlobUnavailable
from runtime.blobs.digests import digest_of, is_digest, named

CONNECT_S = 3.05
READ_S = 20.0
ATTEMPTS = 4
"""The first one and its repetitions, with the client's own backoff, for 429, 5xx and broken connections."""
CONNECTIONS = 32
ONE_SECOND = timedelta(seconds=1)
UNKNOWN_TYPE = "application/octet-stream"
_LIBRARIES = ("aiobotocore", "botocore", "aiohttp")
"""Whose exceptions are faults of the store: aiobotocore's own, those it passes on, and those of reading a body."""
_GARBAGE = (OSError, ValueError, LookupError, TypeError)
"""What reading an answer raises besides, which lacks what S3 promises: a size, a time, a key."""
_MISSING = ("404", "NoSuchKey", "NotFound")


class S3Store:
    """A `BlobStore` in a bucket that exists.

    `endpoint` empty is Amazon's own. In a bucket with versioning, removing names the version that was looked at, so
    that it can never take bytes that were put again meanwhile; without, S3 has no such condition, and between the look
    and the removal lies one round trip.
    """

    def __init__(self, bucket: str, prefix: str = "", *, endpoint: str = "", region: str = "us-east-1") -> None:
        self._bucket = bucket
        self._prefix = f"{prefix.strip('/')}/" if prefix.strip("/") else ""
        self._endpoint = endpoint
        self._region = region
        self._lifetime = AsyncExitStack()
        self._s3: Any = None

    async def __aenter__(self) -> Self:
        config = AioConfig(
            connect_timeout=CONNECT_S,
            read_timeout=READ_S,
            max_pool_connections=CONNECTIONS,
            retries={"mode": "standard", "total_max_attempts": ATTEMPTS},
            # By path wherever the server is not Amazon's: there a bucket has no host name of its own.
            s3={"addressing_style": "path" if self._endpoint else "auto"},
            # Older servers of others refuse the trailing checksums; each blob is checked by its own name.
            request_checksum_calculation="when_required",
            response_checksum_validation="when_required",
        )
        with _told():
            session = get_session()
            session.register_component("data_loader", _descriptions())
            client = session.create_client(
                "s3", region_name=self._region, endpoint_url=self._endpoint or None, config=config
            )
            self._s3 = await self._lifetime.enter_async_context(client)
        return self

    async def __aexit__(self, *_: object) -> None:
        self._s3 = None
        await self._lifetime.aclose()

    def _client(self) -> Any:
        if self._s3 is None:
            raise BlobUnavailable("the blob store is closed")
        return self._s3

    def _at(self, sha256: str) -> dict[str, str]:
        return {"Bucket": self._bucket, "Key": self._prefix + sha256}

    async def put(self, data: bytes, media_type: str) -> str:
        """See `BlobStore`. Written anew each time: that makes it young."""
        sha256 = digest_of(data)
        with _told(sha256):
            await self._client().put_object(
                **self._at(sha256), Body=data, ContentType=media_type, Metadata={"sha256": sha256}
            )
        return sha256

    async def get(self, sha256: str, *, max_bytes: int) -> Blob:
        """See `BlobStore`."""
        with _told(named(sha256)):
            answer = await self._client().get_object(**self._at(sha256))
            async with answer["Body"] as body:
                size = int(answer["ContentLength"])
                if size > max_bytes:
                    raise BlobTooLarge(f"blob {sha256} has {size} bytes; taken are {max_bytes}")
                data = await body.read()
        if digest_of(data) != sha256:
            raise BlobDamaged(f"blob {sha256}: the {len(data)} bytes in the store have another sha256")
        return Blob(data, answer.get("ContentType") or UNKNOWN_TYPE)

    async def info(self, sha256: str) -> BlobInfo | None:
        """See `BlobStore`."""
        found = await self._head(named(sha256))
        if found is None:
            return None
        with _told(sha256):
            kind = found.get("ContentType") or UNKNOWN_TYPE
            return BlobInfo(sha256, int(found["ContentLength"]), kind, found["LastModified"])

    async def all(self) -> AsyncIterator[BlobInfo]:
        """See `BlobStore`. A listing tells no media types. One page, of 1,000, is in memory at a time."""
        more: dict[str, str] = {}
        while True:
            with _told():
                page = await self._client().list_objects_v2(Bucket=self._bucket, Prefix=self._prefix, **more)
                blobs = list(self._listed(page.get("Contents", ())))
                more = {"ContinuationToken": page["NextContinuationToken"]} if page.get("IsTruncated") else {}
            for blob in blobs:
                yield blob
            if not more:
                return

    def _listed(self, page: Iterable[Any]) -> Iterator[BlobInfo]:
        for found in page:
            name = str(found["Key"]).removeprefix(self._prefix)
            if is_digest(name):  # else it is none of ours
                yield BlobInfo(name, int(found["Size"]), "", found["LastModified"])

    async def remove(self, sha256: str, *, untouched_since: datetime) -> bool:
        """See `BlobStore`, and the class for what S3 cannot promise."""
        found = await self._head(named(sha256))
        if found is None:
            return False
        with _told(sha256):
            # S3 tells whole seconds, cut off: it may have been put almost a second later than it says.
            if found["LastModified"] + ONE_SECOND > untouched_since:
                return False
            version = found.get("VersionId")
            which = {"VersionId": version} if version and version != "null" else {}
            await self._client().delete_object(**self._at(sha256), **which)
        return True

    async def _head(self, sha256: str) -> dict[str, Any] | None:
        try:
            with _told(sha256):
                return dict(await self._client().head_object(**self._at(sha256)))
        except BlobMissing:
            return None


@functools.cache
def _descriptions() -> Any:
    """AWS's descriptions of its services, which take a third of a second to read: once a process."""
    return get_session().get_component("data_loader")


@contextmanager
def _told(sha256: str = "") -> Iterator[None]:
    """The library's errors as ours: by their codes and kinds alone, for their texts may name keys and addresses."""
    try:
        yield
    except Exception as error:
        if isinstance(error, _GARBAGE) or type(error).__module__.partition(".")[0] in _LIBRARIES:
            raise _as_ours(error, sha256) from None
        raise


def _as_ours(error: Exception, sha256: str) -> BlobMissing | BlobUnavailable:
    answer = getattr(error, "response", None)  # botocore's ClientError: the server did answer
    if not isinstance(answer, dict):
        return BlobUnavailable(f"the blob store does not answer: {type(error).__name__}")
    code = str(answer.get("Error", {}).get("Code", ""))[:64]
    status = answer.get("ResponseMetadata", {}).get("HTTPStatusCode")
    if sha256 and code in _MISSING:
        return BlobMissing(f"the blob store has no blob {sha256}")
    return BlobUnavailable(f"the blob store refuses: {code if code.isalnum() else 'no code'}, status {status}")
