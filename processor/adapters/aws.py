"""boto3's session, with the region where everybody but boto3 looks for it."""

from __future__ import annotations

import os

import boto3

__all__ = ["aws_session"]


def aws_session() -> boto3.Session:
    """boto3 itself reads only AWS_DEFAULT_REGION; Lambda, ECS and the other SDKs set AWS_REGION."""
    return boto3.Session(region_name=os.environ.get("AWS_REGION"))
