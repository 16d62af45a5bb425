import time

import pytest

from labeling.pii import kinds_in


def kinds(text):
    return kinds_in([{"role": "user", "content": text}])


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("Write to mia.berg+x@posteo.de.", "email"),
        ("写信到mia@qq.com吧", "email"),
        ("Ｍｉａ＠ｑｑ．ｃｏｍ", "email"),
        ("My number is +44 20 7946 0958", "phone"),
        ("call (415) 555-2671", "phone"),
        ("电话13812345678吧", "phone"),
        ("电话１３８１２３４５６７８", "phone"),
        ("座机010-62345678", "phone"),
        ("Pay to DE89 3704 0044 0532 0130 00 AND THANK ME", "iban"),
        ("GB82WEST12345698765432", "iban"),
        ("card 4111 1111 1111 1111, please", "card"),
        ("card 4111-1111-1111-1111 12/29", "card"),
        ("amex 3782 822463 10005", "card"),
        ("银联6222021234567890128", "card"),
        ("身份证11010519491231002X号", "national_id"),
        ("SSN: 536-90-4399", "national_id"),
        ("it came from 93.184.216.34.", "ip_address"),
        ("ping 2a00:1450:4001:81b::200e", "ip_address"),
    ],
)
def test_it_is_found(text, kind):
    assert kinds(text) == [kind]


@pytest.mark.parametrize(
    "text",
    [
        "mia@example.com and root@mail.example.org",  # RFC 2606
        "@everyone, look: a @ b",
        "4111 1111 1111 1112",  # fails Luhn
        "GB82 WEST 1234 5698 7654 33",  # fails MOD 97-10
        "110105194912310021",  # fails ISO 7064
        "000-12-3456",  # never given out
        "order 4155552671 of 20241012123456",
        "1 2 3 4 5 6 7 8 9 10 11 12 13",
        "1,000,000,000 or 3.14159265358979",
        "2024-10-12 12:30:45, pages 1234-5678",
        "192.168.1.1, 127.0.0.1 and ::1",
        "version 1.2.3, std::vector<a::b>",
        "ISBN 978-3-16-148410-0",
        "solve 12345678 + 87654321",
        "写一首关于2024年的诗。",
    ],
)
def test_what_only_looks_alike_is_not(text):
    assert kinds(text) == []


def test_every_turn_is_looked_at_and_kinds_come_once_in_one_order():
    turns = [
        {"role": "user", "content": "call +44 20 7946 0958"},
        {"role": "assistant", "content": "I wrote to mia@posteo.de and +44 20 7946 0958"},
        {"role": "user", "content": "Thanks"},
    ]
    assert kinds_in(turns) == ["email", "phone"]


@pytest.mark.parametrize(
    "text",
    [
        "1234567 " * 8000,
        "1" * 64_000,
        "4 " * 32_000,
        "a@" * 32_000,
        "a:" * 32_000,
        ("a" * 64 + "@" + "b" * 63 + ".") * 480,
    ],
    ids=["numbers", "digits", "spaced", "ats", "colons", "long-labels"],
)
def test_a_text_made_to_be_slow_is_not(text):
    start = time.process_time()
    kinds(text)
    assert time.process_time() - start < 2
