"""Passwords that come at once: the limit on wrong ones holds, and right ones do not count."""

import asyncio
from collections import Counter

import httpx2

from sparklabel.reviewing.people import Account, hashed
from tests.unit.reviewing.reviews import BASE, OURS, review


def statuses(found, *passwords):
    """How often each status is the answer to these passwords, sent at once."""

    async def send_all():
        transport = httpx2.ASGITransport(found.app, client=("127.0.0.1", 50000))
        async with httpx2.AsyncClient(transport=transport, base_url=BASE, headers=OURS) as browser:
            given = [{"name": "lee", "password": password} for password in passwords]
            return await asyncio.gather(*(browser.post("/name", json=one) for one in given))

    return Counter(answer.status_code for answer in asyncio.run(send_all()))


def test_of_many_wrong_passwords_at_once_ten_are_looked_at(tmp_path):
    with review(tmp_path, accounts={"lee": Account("lead", "")}) as found:
        assert statuses(found, *["x"] * 15) == {403: 10, 429: 5}


def test_right_passwords_at_once_are_all_taken(tmp_path):
    with review(tmp_path, accounts={"lee": Account("lead", hashed("secret"))}) as found:
        assert statuses(found, *["secret"] * 12) == {200: 12}
