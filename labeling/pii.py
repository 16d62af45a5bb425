"""Personal data that has a pattern: which kinds of it a text holds, never what it says. Pure.

InstructGPT filtered it "from the training split" (2203.02155, section 3.2) and doesn't say how. Patterns find what has a
form: they miss names, postal addresses and whatever is spelled out, and they take a few harmless numbers for phone numbers.
Checksums and numbering plans are those of two libraries that follow their registries (docs/decisions/0018).
"""

from __future__ import annotations

import ipaddress
import re
import unicodedata
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from itertools import islice
from typing import Final

from phonenumbers import NumberParseException, is_valid_number, parse
from stdnum import iban, luhn
from stdnum.cn import ric
from stdnum.us import ssn

from labeling.identity import Message

EMAIL, PHONE, IBAN, CARD, NATIONAL_ID, IP = "email", "phone", "iban", "card", "national_id", "ip_address"
KINDS: Final = (EMAIL, PHONE, IBAN, CARD, NATIONAL_ID, IP)

# A phone number without a country code is read as a Chinese or a North American one.
REGIONS = ("CN", "US")
TRIES = 50  # of what looks like a phone number in one text: a table of numbers costs milliseconds

END = r"(?![0-9A-Za-z])"


def _start(first: str, also_not: str = "") -> str:
    r"""One of the characters `first`, with no letter or digit before it.

    `\b` would not do: a Chinese character beside a digit is no boundary for it. And `re` scans a text several times as fast
    for a pattern that begins with a class of characters as for one that begins with a look behind.
    """
    return f"[{first}](?<![0-9A-Za-z{also_not}][{first}])"


# RFC 2606 keeps these domains for examples, so nobody has an address there.
_EMAIL = re.compile(
    r"[A-Za-z0-9._%+-]{1,64}@(?!(?:[A-Za-z0-9-]+\.){0,8}(?:example\.(?:com|net|org)|example|test|invalid)"
    + END
    + ")"
    r"(?:[A-Za-z0-9-]{1,63}\.){1,8}[A-Za-z]{2,24}" + END
)
_MAYBE_NUMBER = re.compile(r"[0-9](?:\.[0-9]{1,3}\.[0-9]|(?:[ .()/-]{0,3}[0-9]){6})")
_CHINESE_ID = re.compile(_start("0-9") + "[0-9]{16}[0-9Xx]" + END)
_AMERICAN_ID = re.compile(_start("0-9", "-") + "[0-9]{2}-[0-9]{2}-[0-9]{4}(?!-)" + END)
# The first digit is that of a bank or of travel (ISO/IEC 7812); groups are of four, or 4-6-5 and 4-6-4.
_CARD = re.compile(_start("2-6") + "[0-9]{3}(?:[ -]?[0-9]{4,6}){2}(?:[ -]?[0-9]{1,4}){0,2}" + END)
_IBAN = re.compile(_start("A-Z") + "[A-Z][0-9]{2}(?: ?[A-Z0-9]{4}){2,7}(?: ?[A-Z0-9]{1,3})?" + END)
_IPV4 = re.compile(_start("0-9", ".") + r"[0-9]{0,2}(?:\.[0-9]{1,3}){3}(?!\.[0-9])" + END)
# With a country code; a Chinese mobile; three groups, as in North America; a Chinese land line.
_PHONE = re.compile(
    _start("+(0-9") + r"(?:(?<=\+)[0-9](?:[ ().-]{0,2}[0-9]){6,14}|(?<=1)[3-9][0-9](?:[ -]?[0-9]{4}){2}"
    r"|(?:(?<=\()[0-9]|(?<=[0-9]))[0-9]{2}\)?[ .-]{0,2}[0-9]{3}[ .-][0-9]{4}"
    r"|(?:(?<=\()0|(?<=0))[0-9]{2,3}\)?[ -]?[0-9]{3,4}[ -]?[0-9]{4})" + END
)
_COLONS = re.compile(r":[0-9A-Fa-f]{0,4}:")
_IPV6 = re.compile(r"(?<![0-9A-Za-z:.])[0-9A-Fa-f:]{2,39}(?![0-9A-Za-z:])")
_GAP = re.compile(r"[ -]")


def kinds_in(messages: Iterable[Message]) -> list[str]:
    """Which of KINDS the turns hold, in that order; [] for most."""
    found: set[str] = set()
    for message in messages:
        found |= _kinds(message["content"])
    return [kind for kind in KINDS if kind in found]


def _kinds(text: str) -> set[str]:
    """Most texts hold no @, no colons close to each other and few digits: they cost one look for each."""
    if not text.isascii():
        text = unicodedata.normalize(
            "NFKC", text
        )  # full-width digits and letters, as Chinese keyboards type them
    found: set[str] = set()
    if "@" in text and _EMAIL.search(text):
        found.add(EMAIL)
    if ":" in text and _COLONS.search(text) and any(_is_public(one) for one in _IPV6.findall(text)):
        found.add(IP)
    return found | _numbers(text) if _may_hold_numbers(text) else found


def _may_hold_numbers(text: str) -> bool:
    """Counting digits takes a tenth of looking for them; no number has fewer than the four of 8.8.8.8."""
    data = text.encode()
    digits = len(data) - len(data.translate(None, b"0123456789"))
    return digits >= 4 and _MAYBE_NUMBER.search(text) is not None


def _numbers(text: str) -> set[str]:
    """What is told by its digits. Each kind takes its numbers out, so that no number is two things."""
    found: set[str] = set()
    checks: tuple[tuple[str, re.Pattern[str], Callable[[str], bool]], ...] = (
        (IP, _IPV4, _is_public),
        (IBAN, _IBAN, _is_iban),
        (NATIONAL_ID, _CHINESE_ID, ric.is_valid),
        (NATIONAL_ID, _AMERICAN_ID, ssn.is_valid),
        (CARD, _CARD, _is_card),
    )
    for kind, pattern, is_valid in checks:

        def taken(match: re.Match[str], kind: str = kind, is_valid: Callable[[str], bool] = is_valid) -> str:
            if not is_valid(match[0]):
                return match[0]
            found.add(kind)
            return " "

        text = pattern.sub(taken, text)
    if _has_phone(text):
        found.add(PHONE)
    return found


def _is_public(text: str) -> bool:
    """An address of the internet: one of a local network, or of nothing, leads to nobody."""
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return False
    # Of version 6 only 2000::/3 is given out, and `a::b` is C++.
    return address.is_global and (address.version == 4 or int(address) >> 125 == 1)


def _is_iban(text: str) -> bool:
    return any(iban.is_valid(one) for one in _beginnings(text))


def _is_card(text: str) -> bool:
    return any(13 <= len(one) <= 19 and luhn.is_valid(one) for one in _beginnings(text))


def _beginnings(text: str) -> Iterator[str]:
    """Without its spaces, and then cut at each of them: a word in capitals may follow a number, or another number."""
    parts = _GAP.split(text)
    return ("".join(parts[:end]) for end in range(len(parts), 0, -1))


def _has_phone(text: str) -> bool:
    """A number of a plan, written as one: ten digits alone are an order number.

    phonenumbers' own search of a text takes 20 ms where the text is full of numbers, so it is asked of these only.
    """
    return any(_is_phone(match[0]) for match in islice(_PHONE.finditer(text), TRIES))


def _is_phone(text: str) -> bool:
    for region in REGIONS:
        with suppress(NumberParseException):
            if is_valid_number(parse(text, region)):
                return True
    return False
