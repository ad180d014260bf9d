"""botocore clients for a local stack. Nothing here can reach the real AWS: endpoint and credentials are given."""

from __future__ import annotations

import functools

import botocore.config
import botocore.session

from stack import CREDENTIALS, REGION, Stack


@functools.lru_cache(maxsize=None)
def client(stack: Stack, service: str):
    """A client of `service` on `stack`."""
    session = botocore.session.Session()
    return session.create_client(
        service,
        region_name=REGION,
        endpoint_url=stack.endpoint,
        aws_access_key_id=CREDENTIALS["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=CREDENTIALS["AWS_SECRET_ACCESS_KEY"],
        config=botocore.config.Config(s3={"addressing_style": "path"}, retries={"max_attempts": 1}),
    )
