"""Who somebody is: by the link's token and a name, by a password, or by what a trusted proxy says.

In: requests. Out: a person, cookies. A cookie says who somebody is and is signed; the role is looked up each time.

- With the link alone: who has it gives a name, and is a lead: it is for a few people who trust each other.
- With a users file: a name and its password.
- Behind a proxy: the name in its header, if the request comes from one of the addresses that are trusted. The header of
  anybody else is not looked at.
"""

import asyncio
import hashlib
import hmac
import secrets
from collections.abc import Collection, Mapping
from contextlib import suppress
from typing import Any

from itsdangerous import BadSignature, URLSafeTimedSerializer
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from sparklabel.reviewing.people import ANNOTATOR, LEAD, Account, Person, checked_name, is_password
from sparklabel.reviewing.review_call import ReviewCall
from sparklabel.reviewing.review_secret import ReviewSecret
from sparklabel.reviewing.web.refusals import Refusal
from sparklabel.reviewing.web.security import Attempts, address_of

COOKIE_SECONDS = 12 * 3600


class SignIn:
    """Finds out who sends a request.

    Args:
        call: Has the header of a proxy, and whether cookies are for HTTPS only.
        secret: The link's token, and the key of cookies.
        accounts: The people of a users file; None: whoever has the link.
        attempts: Counts wrong tokens and passwords.
    """

    def __init__(
        self,
        call: ReviewCall,
        secret: ReviewSecret,
        accounts: Mapping[str, Account] | None,
        attempts: Attempts,
    ) -> None:
        self._header, self._trusted = call.user_header, frozenset(call.trust)
        self._is_secure = call.tls_cert is not None
        self._token, self._accounts, self._attempts = secret.token, accounts, attempts
        # The key outlives a restart: a name that somebody typed must not pass for one with a password then.
        mode = "link" if accounts is None else "password"
        self._signer = URLSafeTimedSerializer(secret.cookie_key, salt=f"sparklabel review {mode}")
        self._visits: dict[str, set[str]] = {}
        self._one_by_one = asyncio.Lock()

    @property
    def has_passwords(self) -> bool:
        """Whether people sign in with one."""
        return self._accounts is not None

    def person(self, request: Request) -> Person:
        """Who sends it. Raises a refusal: 401 without a cookie that is valid, 403 for who is not on the list."""
        if self._header and address_of(request) in self._trusted:
            return self._by_proxy(request.headers.get(self._header))
        content = self._content(request)
        name = content.get("name") if content else None
        if content is None or (name and content.get("of") != self._password_mark(name)):
            raise self._unknown()
        if not name:
            raise Refusal(401, "Say who you are first.", "Open / of this review.")
        account = self._accounts[name] if self._accounts is not None else None
        return Person(name, account.role if account else LEAD, str(content.get("visit", "")))

    def needs_name(self, request: Request) -> bool:
        """Whether who sends it may give a name: has come by the link, or can sign in with a password."""
        return self._accounts is not None or self._content(request) is not None

    def by_token(self, request: Request, token: str) -> Response:
        """The answer to the link: a cookie, and the way to the first page, whose address has no token. Raises a
        refusal: 403 for a wrong one, 429 after ten."""
        self._attempts.check(address_of(request))
        if self._accounts is not None or not hmac.compare_digest(token.encode(), self._token.encode()):
            self._attempts.note(address_of(request))
            raise Refusal(
                403, "This link is not valid, or not any more.", "Ask for the one that was printed last."
            )
        known = self._content(request) or {}
        response = RedirectResponse("/", 303)
        self._set(
            response, str(known.get("name", "")), str(known.get("visit") or secrets.token_hex(8)), request
        )
        return response

    async def by_name(self, request: Request, given: Mapping[str, Any], known: Collection[str]) -> Person:
        """Who gives a name, and a password where there is one. Raises a refusal: 422 for a name that cannot be used,
        409 for one that is `known` already, unless `same` says that it is the same person, 403 for a wrong password."""
        try:
            name = checked_name(given.get("name"))
        except ValueError as error:
            raise Refusal(422, str(error)) from None
        if self._accounts is not None:
            return await self._by_password(request, name, given.get("password"))
        content = self._content(request)
        if content is None:
            raise self._unknown()
        visit = str(content.get("visit", ""))
        is_known = name in known or name in self._visits
        if is_known and visit not in self._visits.get(name, ()) and given.get("same") is not True:
            raise Refusal(
                409,
                f"{name} is here already.",
                "If that is you, say so. Otherwise add something to your name.",
            )
        return Person(name, LEAD, visit)

    def remember(self, response: Response, person: Person, request: Request) -> None:
        """Sets the person's cookie."""
        self._visits.setdefault(person.name, set()).add(person.visit)
        self._set(response, person.name, person.visit, request)

    def _by_proxy(self, header: str | None) -> Person:
        try:
            name = checked_name(header)
        except ValueError:
            raise Refusal(401, "The proxy did not say who you are.", "Sign in there.") from None
        if self._accounts is None:
            return Person(name, ANNOTATOR)
        if name not in self._accounts:
            raise Refusal(403, "You are not on the list of this review's people.", "Ask who started it.")
        return Person(name, self._accounts[name].role)

    async def _by_password(self, request: Request, name: str, password: object) -> Person:
        account = (self._accounts or {}).get(name)
        given = password if isinstance(password, str) else ""
        if not await self._is_right(address_of(request), account, given):
            raise Refusal(403, "Name or password is wrong.")
        return Person(name, account.role if account else ANNOTATOR, secrets.token_hex(8))

    async def _is_right(self, address: str, account: Account | None, password: str) -> bool:
        """Whether it is the account's. One password is looked at after another: many at once would all be tried before
        the first is known to be wrong, and each takes 16 MiB. Raises a refusal: 429 after ten wrong ones."""
        async with self._one_by_one:
            self._attempts.check(address)
            is_right = False
            try:
                is_right = await asyncio.to_thread(is_password, account, password)
            finally:
                if not is_right:
                    self._attempts.note(address)
            return is_right

    def _content(self, request: Request) -> dict[str, Any] | None:
        with suppress(BadSignature):
            found = self._signer.loads(request.cookies.get(_cookie(request), ""), max_age=COOKIE_SECONDS)
            return found if isinstance(found, dict) else None
        return None

    def _set(self, response: Response, name: str, visit: str, request: Request) -> None:
        value = self._signer.dumps({"name": name, "visit": visit, "of": self._password_mark(name)})
        response.set_cookie(
            _cookie(request), str(value), max_age=COOKIE_SECONDS, httponly=True, samesite="strict",
            secure=self._is_secure,
        )  # fmt: skip

    def _password_mark(self, name: str) -> str:
        """What a cookie holds of the password that it was given for: a new password ends it. Empty without users; for
        a name that is not on the list nothing fits."""
        if self._accounts is None or not name:
            return ""
        account = self._accounts.get(name)
        return hashlib.sha256(account.hash.encode()).hexdigest()[:16] if account else secrets.token_hex(8)

    def _unknown(self) -> Refusal:
        if self._accounts is not None:
            return Refusal(401, "Sign in first.", "Open /name of this review.")
        return Refusal(
            401, "This review is open to who has its link.",
            "The link stands in the terminal where the review was started. It is good for twelve hours at a time.",
        )  # fmt: skip


def _cookie(request: Request) -> str:
    """One name for each port: browsers send cookies to all ports of a host."""
    return f"sparklabel_{request.url.port or 0}"
