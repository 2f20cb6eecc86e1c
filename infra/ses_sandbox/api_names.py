"""The REST calls for what a mail may name besides templates: identities, tenants, contact lists."""

from __future__ import annotations

from infra.ses_sandbox.model import SesError
from infra.ses_sandbox.routes import Answer, Api, Request, conflict, route

__all__: list[str] = []


@route("POST", "/tenants")
def _create_tenant(api: Api, request: Request) -> Answer:
    name = str(request.body.get("TenantName") or "")
    if not name:
        raise SesError(400, "BadRequestException", "TenantName is required.")
    if name in api.store.kept.tenants:
        raise conflict(f"Tenant <{name}>")
    api.store.kept.tenants.append(name)
    api.store.save()
    return {"TenantName": name, "SendingStatus": "ENABLED"}


@route("POST", "/contact-lists")
def _create_list(api: Api, request: Request) -> Answer:
    name = str(request.body.get("ContactListName") or "")
    if not name:
        raise SesError(400, "BadRequestException", "ContactListName is required.")
    if api.store.kept.contact_lists:
        raise SesError(400, "LimitExceededException", "An account has one contact list.")
    api.store.kept.contact_lists[name] = [str(one["TopicName"]) for one in request.body.get("Topics") or []]
    api.store.save()
    return {}


@route("POST", "/identities")
def _create_identity(api: Api, request: Request) -> Answer:
    name = str(request.body.get("EmailIdentity") or "").lower()
    if name in api.store.settings.verified:
        raise conflict(f"Email identity {name}")
    api.store.settings.verified.append(name)
    api.store.save()
    return {"IdentityType": "EMAIL_ADDRESS" if "@" in name else "DOMAIN", "VerifiedForSendingStatus": True}


@route("GET", "/identities/*")
def _get_identity(api: Api, request: Request) -> Answer:
    name = request.names[0].lower()
    if api.store.settings.missing_reads or name not in api.store.settings.verified:
        code = "UnknownOperationException" if api.store.settings.missing_reads else "NotFoundException"
        raise SesError(404, code, f"Email identity {name} does not exist.")
    mail_from = api.store.settings.mail_from
    about = {"MailFromDomain": mail_from, "MailFromDomainStatus": "SUCCESS", "BehaviorOnMxFailure": "REJECT_MESSAGE"}
    return {
        "IdentityType": "EMAIL_ADDRESS" if "@" in name else "DOMAIN",
        "VerifiedForSendingStatus": True,
        "DkimAttributes": {"SigningEnabled": True, "Status": api.store.settings.dkim},
        **({"MailFromAttributes": about} if mail_from else {}),
    }
