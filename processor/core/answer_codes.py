"""The names under which SES refuses, each with where it is known from: the whitelist of what proves "not sent".

`v2` is botocore's model of SES v2, `v1` that of SES v1, `errors` the page "Common error types" of the SES API's
reference, `guide` the developer guide, `botocore` its code for retries and parsing, `RFC` one of HTTP's; the rest are
public reports. Whole answers with their sources: `tests/contracts/answers.json`.
"""

from __future__ import annotations

__all__ = [
    "HALT_CODES",
    "MESSAGE_CODES",
    "OWN_CODES",
    "RATE_CODES",
    "SIGNATURE_CODES",
    "TEMPLATE_MISSING",
    "TIME_CODES",
]

RATE_CODES = {
    "TooManyRequestsException",  # v2
    "ThrottlingException",  # guide, errors
    "Throttling",  # v1 as it comes, aws/aws-sdk#76
    "RequestLimitExceeded",  # botocore's list of throttling codes
}
"""Too fast."""
TEMPLATE_MISSING = "template-or-configuration-set-missing"
HALT_CODES = {
    "AccountSuspendedException": "account-suspended",  # v2
    "SendingPausedException": "sending-paused",  # v2
    "AccountSendingPausedException": "sending-paused",  # v1
    "ConfigurationSetSendingPausedException": "sending-paused",  # v1
    "MailFromDomainNotVerifiedException": "sender-not-verified",  # v2
    "ConfigurationSetDoesNotExistException": TEMPLATE_MISSING,  # v1, its shape's name
    "ConfigurationSetDoesNotExist": TEMPLATE_MISSING,  # v1, its code on the wire
    "UnrecognizedClientException": "credentials",  # errors
    "InvalidClientTokenId": "credentials",  # errors
    "InvalidSignatureException": "credentials",  # Signature Version 4
    "SignatureDoesNotMatch": "credentials",  # Signature Version 4
    "IncompleteSignature": "credentials",  # errors
    "MissingAuthenticationToken": "credentials",  # errors
    "MissingAuthenticationTokenException": "credentials",  # errors
    "ExpiredToken": "credentials",  # boto/boto3#1073
    "ExpiredTokenException": "credentials",  # errors
    "OptInRequired": "credentials",  # errors
    "SubscriptionRequiredException": "credentials",  # what OptInRequired is called in JSON protocols
    "NotAuthorized": "credentials",  # errors
    "407": "proxy",  # RFC 9110, 15.5.8: a proxy did not pass it on
}
"""Every message would be refused, and why."""
OWN_CODES = {
    "NotFoundException": TEMPLATE_MISSING,  # v2
    "TemplateDoesNotExistException": TEMPLATE_MISSING,  # v1, its shape's name
    "TemplateDoesNotExist": TEMPLATE_MISSING,  # v1, its code on the wire; Enase/serverless-ses-template#5
    "InvalidTemplate": "template-invalid",  # v1
    "AccessDeniedException": "credentials",  # errors; GSA/data.gov#3810
    "AccessDenied": "credentials",  # v1; aws/aws-sdk-php#941
}
"""Refused for something that the mail names: its template, an identity."""
MESSAGE_CODES = {
    "MessageRejected": "message-rejected",  # v2
    "BadRequestException": "bad-request",  # v2
    "InvalidParameterValue": "bad-request",  # v1; boto/boto3#4587
    "ValidationError": "bad-request",  # errors
    "ValidationException": "bad-request",  # errors
    "MalformedHttpRequest": "bad-request",  # errors
    "MalformedHttpRequestException": "bad-request",  # errors, its name in JSON protocols
    "SerializationException": "bad-request",  # the front end could not read the body's JSON
    "RequestEntityTooLarge": "too-large",  # errors
    "RequestEntityTooLargeException": "too-large",  # errors, its name in JSON protocols
    "413": "too-large",  # RFC 9110, 15.5.14: whoever answers so did not take the body
    "InvalidTemplateException": "template-data",
    "MissingRenderingAttributeException": "template-data",  # v1, its shape's name
    "MissingRenderingAttribute": "template-data",  # v1, its code on the wire
    "InvalidRenderingParameterException": "template-data",  # v1, its shape's name
    "InvalidRenderingParameter": "template-data",  # v1, its code on the wire
}
"""This message, and why."""
TIME_CODES = {
    "RequestExpired",  # errors
    "RequestTimeTooSkewed",  # as S3 says it
}
"""The signature is not of the present."""
SIGNATURE_CODES = {"SignatureDoesNotMatch", "InvalidSignatureException"}
"""The same, where the text says so; else the key is wrong."""
