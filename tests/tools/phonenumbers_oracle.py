#!/usr/bin/env python3
"""Prints what the Python package `phonenumbers` knows, one fact a line, fields separated by tabs.

    meta     REGION CODE INTERNATIONAL NATIONAL     calling code and dialling prefixes ('-': none or several)
    emergency REGION NUMBER                         a number that calls for help
    length   REGION DIGITS                          a length of national numbers
    number   REGION TYPE E164 NATIONAL INTERNATIONAL NATIONAL-SIGNIFICANT DIALLED-FROM-FR DIALLED-FROM-US

Numbers are the example of each type in each region and neighbours of it that are valid as well.
"""

import sys

import phonenumbers
from phonenumbers import PhoneNumberFormat as Format
from phonenumbers import PhoneNumberType as Type
from phonenumbers import shortnumberinfo

TYPES = [
    Type.FIXED_LINE, Type.MOBILE, Type.TOLL_FREE, Type.PREMIUM_RATE, Type.SHARED_COST, Type.PERSONAL_NUMBER,
    Type.VOIP, Type.PAGER, Type.UAN, Type.VOICEMAIL,
]
NEIGHBOURS = 12


def line(*fields):
    print("\t".join(str(field) for field in fields))


def meta(region):
    data = phonenumbers.PhoneMetadata.metadata_for_region(region)
    international = data.preferred_international_prefix or data.international_prefix or "-"
    international = international.replace("~", "")
    line("meta", region, data.country_code, international if international.isdigit() else "-", data.national_prefix or "-")
    for length in data.general_desc.possible_length:
        line("length", region, length)


def emergencies(region):
    every = [f"{n:0{width}}" for width in (2, 3) for n in range(10 ** width)]
    for number in every + ["9999", "10111", "10177", "90000", "1515", "1220", "1300", "1730", "1122", "6258666", "320221"]:
        if shortnumberinfo.is_emergency_number(number, region):
            line("emergency", region, number)


def neighbours(example):
    yield example
    text = str(example.national_number)
    for step in range(1, NEIGHBOURS):
        other = phonenumbers.PhoneNumber()
        other.merge_from(example)
        # Other digits at the end, the same everywhere and each time the program runs.
        tail = str(int(text[-4:]) * 7 + step * 1237).zfill(4)[-4:]
        other.national_number = int(text[:-4] + tail)
        yield other


def numbers(region):
    seen = set()
    for kind in TYPES:
        example = phonenumbers.example_number_for_type(region, kind)
        if example is None:
            continue
        for number in neighbours(example):
            e164 = phonenumbers.format_number(number, Format.E164)
            if e164 in seen or not phonenumbers.is_valid_number_for_region(number, region):
                continue
            if not phonenumbers.can_be_internationally_dialled(number):
                continue
            seen.add(e164)
            line(
                "number", region, Type.to_string(kind), e164,
                phonenumbers.format_number(number, Format.NATIONAL),
                phonenumbers.format_number(number, Format.INTERNATIONAL),
                phonenumbers.national_significant_number(number),
                phonenumbers.format_out_of_country_calling_number(number, "FR"),
                phonenumbers.format_out_of_country_calling_number(number, "US"),
            )


def main():
    sys.stdout.reconfigure(encoding="utf-8")
    line("version", phonenumbers.__version__)
    for region in sorted(phonenumbers.SUPPORTED_REGIONS):
        meta(region)
        emergencies(region)
        numbers(region)


if __name__ == "__main__":
    main()
