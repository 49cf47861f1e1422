"""Where the state of a world lives: in a folder, or in an S3 bucket."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any, Protocol

import boto3


class Home(Protocol):
    """The backend of one stack, which can be put back to what it held when it was kept."""

    url: str
    environment: dict[str, str]

    def keep(self) -> None: ...

    def restore(self) -> None: ...


class FolderHome:
    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._kept = folder.with_name(f"{folder.name}-kept")
        # Without side files: the engine truncates and rewrites `<stack>.json.attrs` at every step,
        # and a kill between the two leaves a state that cannot be loaded.
        self.url = f"file://{folder}?metadata=skip"
        self.environment: dict[str, str] = {}

    def keep(self) -> None:
        shutil.copytree(self._folder, self._kept)

    def restore(self) -> None:
        shutil.rmtree(self._folder)
        shutil.copytree(self._kept, self._folder)


class BucketHome:
    """A bucket of its own on the S3 server `s3`, which the engine reaches at `front`."""

    def __init__(self, s3: Any, bucket: str, front: str | None = None) -> None:
        self.bucket = bucket
        self.url = bucket_url(bucket, front or s3.url)
        self.environment = s3_environment(s3)
        self._client = s3_client(s3)
        self._client.create_bucket(Bucket=bucket)
        self._kept: dict[str, bytes] = {}

    def keep(self) -> None:
        self._kept = {key: self.read(key) for key in self.names()}

    def restore(self) -> None:
        for key in self.names():
            self._client.delete_object(Bucket=self.bucket, Key=key)
        for key, content in self._kept.items():
            self._client.put_object(Bucket=self.bucket, Key=key, Body=content)

    def names(self) -> list[str]:
        pages = self._client.get_paginator("list_objects_v2").paginate(Bucket=self.bucket)
        return [entry["Key"] for page in pages for entry in page.get("Contents", [])]

    def read(self, key: str) -> bytes:
        return bytes(self._client.get_object(Bucket=self.bucket, Key=key)["Body"].read())


def bucket_url(bucket: str, endpoint: str) -> str:
    """The backend URL for an S3 server that is not Amazon's, over plain HTTP."""
    options = {
        "endpoint": endpoint, "disableSSL": "true", "s3ForcePathStyle": "true",
        "region": "us-east-1",
    }  # fmt: skip
    return f"s3://{bucket}?" + "&".join(f"{key}={value}" for key, value in options.items())


def s3_environment(s3: Any) -> dict[str, str]:
    """What the engine needs in its environment."""
    return {
        "AWS_ACCESS_KEY_ID": s3.access_key,
        "AWS_SECRET_ACCESS_KEY": s3.secret_key,
        # This server sends no checksums, and the engine's SDK warns of that with every answer.
        "AWS_RESPONSE_CHECKSUM_VALIDATION": "when_required",
    }


def s3_client(s3: Any) -> Any:
    return boto3.client(
        "s3", endpoint_url=s3.url, region_name="us-east-1",
        aws_access_key_id=s3.access_key, aws_secret_access_key=s3.secret_key,
    )  # fmt: skip
