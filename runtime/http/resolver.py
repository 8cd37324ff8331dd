"""Name lookups under the egress policy: a name on the list is not enough, its addresses must be allowed too."""

import asyncio
import socket
from concurrent.futures import ThreadPoolExecutor

from aiohttp.abc import AbstractResolver, ResolveResult
from aiohttp.resolver import ThreadedResolver

from runtime.http.egress import Egress
from runtime.http.errors import AddressRefusedError


class GuardedResolver(AbstractResolver):
    """Gives a name's addresses if the policy allows every one of them, so that none can be slipped in among good ones.

    The connection is then made to exactly these addresses. aiohttp does not ask a resolver about hosts that are
    addresses themselves; `Egress.why_not` checks those.
    """

    def __init__(self, egress: Egress, lookup: AbstractResolver | None = None) -> None:
        self._egress = egress
        self._lookup = lookup or ThreadedResolver()

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        """Look `host` up. Raises `AddressRefusedError` if any address is forbidden."""
        found = await self._lookup.resolve(host, port, family)
        for one in found:
            reason = self._egress.why_not_address(host, port, one["host"])
            if reason is not None:
                raise AddressRefusedError(reason)
        return found

    async def close(self) -> None:
        """Close the lookup behind."""
        await self._lookup.close()


class OwnThreads(AbstractResolver):
    """The system's lookup in threads that do nothing else: a stranger's name server that never answers holds these up,
    and no other lookup or work of the process."""

    def __init__(self, threads: int = 8) -> None:
        self._threads = ThreadPoolExecutor(threads, "novix-lookup")

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        """Every address of `host` for a TCP connection. Raises OSError."""
        found = await asyncio.get_running_loop().run_in_executor(
            self._threads,
            lambda: socket.getaddrinfo(host, port, family, socket.SOCK_STREAM, flags=socket.AI_ADDRCONFIG),
        )
        return [
            ResolveResult(
                hostname=host, host=str(address[0]), port=port, family=family, proto=proto, flags=socket.AI_NUMERICHOST
            )
            for family, _, proto, _, address in found
        ]

    async def close(self) -> None:
        """Wait for no lookup any more."""
        self._threads.shutdown(wait=False, cancel_futures=True)
