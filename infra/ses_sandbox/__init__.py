"""A stand-in for Amazon SES v2 that an unmodified boto3 client uses (``AWS_ENDPOINT_URL_SESV2``).

It accepts, refuses, throttles and fails as SES does, and writes every accepted message to a durable record before it
answers: the record judges every test of mailonce.

What it does not emulate: the value of a signature (its presence and age are checked), IAM, SMTP, raw messages and
attachments, SendBulkEmail, contact lists, dedicated IPs, DKIM, deliverability, tenants, and real delivery. Templates
are Handlebars as far as engines agree on it (`schemas.templates.handlebars`); one that says more is refused when it is
created. Limits that AWS does not document are not guessed.
"""
