#!/usr/bin/env python3
"""Prints the prefixes that the Python package `phonenumbers` knows, and what it finds for numbers by the longest of them.

    rule   PLAN PREFIX TAG     a prefix with `+`: the place, carrier or time zones of its numbers
    find   PLAN NUMBER TAG     what the package says of a number; an empty tag: nothing

A tag is a number that stands for the text, the same for the same text.
"""

import random

import phonenumbers
from phonenumbers.carrierdata import CARRIER_DATA, CARRIER_LONGEST_PREFIX
from phonenumbers.geodata import GEOCODE_DATA, GEOCODE_LONGEST_PREFIX
from phonenumbers.prefix import _prefix_description_for_number
from phonenumbers.timezone import time_zones_for_geographical_number
from phonenumbers.tzdata import TIMEZONE_DATA

LANGUAGE = "en"
FINDS = 40_000
tags = {}


def tag(text):
    return tags.setdefault(text, len(tags)) if text else ""


def line(*fields):
    print("\t".join(str(field) for field in fields))


def number_of(digits):
    number = phonenumbers.PhoneNumber()
    for length in (1, 2, 3):
        if int(digits[:length]) in phonenumbers.COUNTRY_CODE_TO_REGION_CODE:
            number.country_code = int(digits[:length])
            rest = digits[length:]
            number.national_number = int(rest or 0)
            zeros = len(rest) - len(rest.lstrip("0"))
            if zeros and rest.strip("0"):
                number.italian_leading_zero = True
                number.number_of_leading_zeros = zeros
            break
    # What the package makes of it must be the same digits, or it would look up another number.
    same = number.country_code and phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)[1:] == digits
    return number if same else None


def described(data, longest):
    known = {prefix: texts[LANGUAGE] for prefix, texts in data.items() if LANGUAGE in texts}
    return known, lambda number: _prefix_description_for_number(data, longest, number, LANGUAGE)


def zones():
    known = {prefix: " ".join(zones) for prefix, zones in TIMEZONE_DATA.items()}
    def find(number):
        found = time_zones_for_geographical_number(number)
        return "" if found == ("Etc/Unknown",) else " ".join(found)
    return known, find


def plan(name, known, find):
    for prefix, text in known.items():
        line("rule", name, "+" + prefix, tag(text))
    chance = random.Random(name)
    prefixes = sorted(known)
    for _ in range(FINDS):
        digits = chance.choice(prefixes)
        # Most numbers go on behind a prefix; some leave it on the way.
        keep = len(digits) if chance.random() < 0.7 else chance.randrange(1, len(digits) + 1)
        digits = digits[:keep] + "".join(chance.choice("0123456789") for _ in range(max(4, 12 - keep)))
        number = number_of(digits)
        if number is not None:
            line("find", name, "+" + digits, tag(find(number)))


def main():
    line("version", phonenumbers.__version__)
    plan("geo", *described(GEOCODE_DATA, GEOCODE_LONGEST_PREFIX))
    plan("carrier", *described(CARRIER_DATA, CARRIER_LONGEST_PREFIX))
    plan("zone", *zones())


main()
