"""Peers that are libraries, each driven as its documentation says for speed. Run by the peers' own Python.

    benchclients.py awscrt|obstore up-large|down-large|up-small|down-small BUCKET KEY LOCAL WIDTH [COUNT]
"""

import asyncio
import os
import sys
from pathlib import Path

PART = 16 << 20
EACH = 100
ENDPOINT = os.environ["AWS_ENDPOINT_URL"]
# Of the sink; nothing if it speaks no TLS.
CERTIFICATE = os.environ.get("AWS_CA_BUNDLE")


def small_names(count):
    return [f"d{index // EACH:04}/f{index:06}" for index in range(count)]


def awscrt(what, bucket, key, local, width, count):
    """The S3 client of AWS's common runtime itself: s3transfer on top of it signs payloads and adds checksums."""
    import threading
    from urllib.parse import urlsplit

    from awscrt.auth import AwsCredentialsProvider
    from awscrt.http import HttpHeaders, HttpRequest
    from awscrt.io import ClientTlsContext, TlsContextOptions
    from awscrt.s3 import S3Client, S3RequestTlsMode, S3RequestType, create_default_s3_signing_config

    provider = AwsCredentialsProvider.new_static(
        os.environ["AWS_ACCESS_KEY_ID"], os.environ["AWS_SECRET_ACCESS_KEY"]
    )
    trust = None
    if CERTIFICATE:
        options = TlsContextOptions()
        options.override_default_trust_store_from_path(None, CERTIFICATE)
        trust = ClientTlsContext(options).new_connection_options()
    client = S3Client(
        region="us-east-1",
        tls_mode=S3RequestTlsMode.ENABLED if CERTIFICATE else S3RequestTlsMode.DISABLED,
        tls_connection_options=trust,
        # Its payload is UNSIGNED-PAYLOAD.
        signing_config=create_default_s3_signing_config(region="us-east-1", credential_provider=provider),
        part_size=PART,
        throughput_target_gbps=50,
        max_active_connections_override=width,
    )
    host = urlsplit(ENDPOINT).netloc
    is_up = what.startswith("up")
    names = [(local, key)]
    if what.endswith("small"):
        names = [(f"{local}/{name}", f"{key}/{name}") for name in small_names(count)]
    # As many calls as are in flight, and as many again. More would only cost memory.
    room = threading.Semaphore(2 * width)
    futures = []
    for path, target in names:
        headers = HttpHeaders([("host", host)])
        if is_up:
            headers.add("content-length", str(os.path.getsize(path)))
        else:
            Path(path).parent.mkdir(parents=True, exist_ok=True)
        room.acquire()
        call = client.make_request(
            type=S3RequestType.PUT_OBJECT if is_up else S3RequestType.GET_OBJECT,
            request=HttpRequest("PUT" if is_up else "GET", f"/{bucket}/{target}", headers),
            send_filepath=path if is_up else None,
            recv_filepath=None if is_up else path,
            on_done=lambda **_: room.release(),
        )
        futures.append(call.finished_future)
    for future in futures:
        future.result()


def obstore(what, bucket, key, local, width, count):
    import obstore as library
    from obstore.store import S3Store

    store = S3Store(
        bucket,
        endpoint=ENDPOINT,
        region="us-east-1",
        virtual_hosted_style_request=False,
        unsigned_payload=True,
        # It cannot be given a certificate to trust.
        client_options={"allow_http": True, "allow_invalid_certificates": bool(CERTIFICATE)},
    )

    async def small():
        gate = asyncio.Semaphore(width)

        async def one(name):
            async with gate:
                path = Path(local) / name
                if what == "up-small":
                    await library.put_async(store, f"{key}/{name}", path)
                else:
                    answer = await library.get_async(store, f"{key}/{name}")
                    content = await answer.bytes_async()
                    path.parent.mkdir(parents=True, exist_ok=True)
                    path.write_bytes(content)

        await asyncio.gather(*(one(name) for name in small_names(count)))

    async def ranges():
        size = (await library.head_async(store, key))["size"]
        gate = asyncio.Semaphore(width)
        file = os.open(local, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
        os.posix_fallocate(file, 0, size)

        async def one(start):
            async with gate:
                content = await library.get_range_async(store, key, start=start, end=min(start + PART, size))
                os.pwrite(file, content, start)

        await asyncio.gather(*(one(start) for start in range(0, size, PART)))
        os.close(file)

    if what == "up-large":
        library.put(store, key, Path(local), chunk_size=PART, max_concurrency=width)
    elif what == "down-large":
        asyncio.run(ranges())
    else:
        asyncio.run(small())


def main():
    library, what, bucket, key, local, width, *count = sys.argv[1:]
    {"awscrt": awscrt, "obstore": obstore}[library](
        what, bucket, key, local, int(width), int(count[0]) if count else 0
    )


main()
