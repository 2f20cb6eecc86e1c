"""What SES takes as an attachment, and what it does not: boto3 checks none of it.

Limits: botocore's model of SES v2, `Attachment`. File names and the size of a message: the SES developer guide, "SES
unsupported attachment types" and "Working with email attachments in SES".
"""

from __future__ import annotations

import re
from pathlib import PurePosixPath

__all__ = ["MESSAGE_BYTES_MAX", "attachment_problem", "encoded_bytes"]

MESSAGE_BYTES_MAX = 40_000_000
"""Of a whole message, attachments in base64."""
NAME_CHARS_MAX = 255
TYPE_CHARS_MAX = 78
ID_CHARS_MAX = 78
_REFUSED = re.compile(
    r"""ade|adp|app|asp|bas|bat|cer|chm|cmd|com|cpl|crt|csh|der|exe|fxp|gadget|hlp|hta|inf|ins|isp|its|js
    |jse|ksh|lib|lnk|mad|maf|mag|mam|maq|mar|mas|mat|mau|mav|maw|mda|mdb|mde|mdt|mdw|mdz|msc|msh|msh1
    |msh2|mshxml|msh1xml|msh2xml|msi|msp|mst|ops|pcd|pif|plg|prf|prg|reg|scf|scr|sct|shb|shs|sys|ps1
    |ps1xml|ps2|ps2xml|psc1|psc2|tmp|url|vb|vbe|vbs|vps|vsmacros|vss|vst|vsw|vxd|ws|wsc|wsf|wsh|xnk""",
    re.VERBOSE | re.IGNORECASE,
)
_TYPE = re.compile(r"[\w!#$&^.+-]+/[\w!#$&^.+-]+", re.ASCII)
_ID = re.compile(r"[!-;=?-~]+")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


def attachment_problem(name: str, content_type: str, content_id: str) -> str | None:
    """Why SES would refuse an attachment of this name, MIME type and id (empty: none), or ``None``."""
    if not 0 < len(name) <= NAME_CHARS_MAX or _CONTROL.search(name):
        return f"attachment {name!r}: a name has 1 to {NAME_CHARS_MAX} characters, none of them a control character"
    ending = PurePosixPath(name).suffix.removeprefix(".")
    if not ending or _REFUSED.fullmatch(ending):
        return f"attachment {name!r}: SES takes no file whose name ends so"
    if len(content_type) > TYPE_CHARS_MAX or _TYPE.fullmatch(content_type) is None:
        return f"attachment {name!r}: {content_type!r} is no MIME type of at most {TYPE_CHARS_MAX} characters"
    if content_id and (len(content_id) > ID_CHARS_MAX or _ID.fullmatch(content_id) is None):
        return f"attachment {name!r}: an id has at most {ID_CHARS_MAX} printable ASCII characters without < > and space"
    return None


def encoded_bytes(size: int) -> int:
    """How many bytes of a message so many bytes of an attachment become: base64, in lines of 76 and a line's end."""
    return -(-size // 57) * 78
