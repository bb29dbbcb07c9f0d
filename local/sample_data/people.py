"""Invented retailer behind the samples: its customers, shops, products and rewards.

Nobody in here exists. E-mail addresses are on the domains reserved for examples. Australian mobile
numbers are those that the regulator (ACMA) reserves for fiction. New Zealand reserves none, so its
numbers begin with 025, a prefix out of use since 2007.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """A town as written in an address."""

    city: str
    state: str
    postcode: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Store:
    """A shop of the retailer."""

    id: str
    code: str
    number: str
    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Country:
    """One country in which the retailer trades, with a feed of its own."""

    name: str
    currency: str
    docket: str
    """First digits of the order numbers."""
    first_names: Sequence[str]
    surnames: Sequence[str]
    streets: Sequence[str]
    places: Sequence[Place]
    stores: Sequence[Store]
    phones: Sequence[str]


AUSTRALIA = Country(
    name="AUSTRALIA",
    currency="AUD",
    docket="555",
    first_names=(
        *("OLIVIA", "CHARLOTTE", "AMELIA", "ISLA", "MIA", "GRACE", "ZOE", "MATILDA", "RUBY"),
        *("NOAH", "JACK", "LEO", "WILLIAM", "THEODORE", "LUCA", "HUDSON", "ANGUS", "HAMISH"),
        *("PRIYA", "MEI LING", "THI HOA", "AISHA", "DIMITRI", "GIULIA", "RENÉE", "ZOË", "BJÖRN"),
    ),
    surnames=(
        *("SMITH", "JONES", "WILLIAMS", "BROWN", "NGUYEN", "TAYLOR", "WHITE", "PATEL", "SINGH"),
        *("O'BRIEN", "O'NEILL", "D'ANGELO", "MACDONALD", "VAN DER MERWE", "ST CLAIR", "KELLY"),
        *("PAPADOPOULOS", "COSTA", "MÜLLER", "SØRENSEN", "LEE-ARCHER", "HOLT", "CHEN"),
    ),
    streets=(
        *("ST KILDA RD", "GEORGE ST", "PACIFIC HWY", "QUEEN ST", "SMITH ST", "THE ESPLANADE"),
        *("BEAUFORT ST", "ANZAC PDE", "ELIZABETH ST", "KANGAROO CT", "O'CONNELL ST"),
    ),
    places=(
        Place(city="DONCASTER", state="VIC", postcode="3108"),
        Place(city="MELBOURNE", state="VIC", postcode="3000"),
        Place(city="BONDI JUNCTION", state="NSW", postcode="2022"),
        Place(city="NEWCASTLE", state="NSW", postcode="2300"),
        Place(city="FORTITUDE VALLEY", state="QLD", postcode="4006"),
        Place(city="SUBIACO", state="WA", postcode="6008"),
        Place(city="HOBART", state="TAS", postcode="7000"),
        Place(city="DARWIN", state="NT", postcode="0800"),
        Place(city="CASUARINA", state="NT", postcode="0810"),
        Place(city="CANBERRA", state="ACT", postcode="0200"),
    ),
    stores=(
        Store(id="4983", code="Doncaster", number="014", name="Doncaster Westfield"),
        Store(id="4984", code="Bondi", number="021", name="Bondi Junction"),
        Store(id="4990", code="Valley", number="007", name="Fortitude Valley"),
        Store(id="5002", code="Casuarina", number="032", name="Casuarina Square"),
    ),
    # https://www.acma.gov.au/phone-numbers-use-tv-shows-films-and-creative-works
    phones=tuple(
        f"+61491{digits}"
        for digits in (
            *("570006", "570156", "570157", "570158", "570159", "570110", "570313", "570737"),
            *("571266", "571491", "571804", "572549", "572665", "572983", "573770", "573087"),
            *("574118", "574632", "575254", "575789", "576398", "576801", "577426", "577644"),
            *("578957", "578148", "578888", "579212", "579760", "579455"),
        )
    ),
)

NEW_ZEALAND = Country(
    name="NEW ZEALAND",
    currency="NZD",
    docket="640",
    first_names=(
        *("Aroha", "Anahera", "Mārama", "Hinemoa", "Kahurangi", "Whetū", "Ngaio", "Tūī"),
        *("Hēmi", "Tāne", "Wiremu", "Rāwiri", "Manaaki", "Nīkau", "Isla", "Oliver", "Charlotte"),
    ),
    surnames=(
        *("Ngata", "Parata", "Tāmihana", "Te Rangi", "Hōhepa", "Pōtae", "Wīneera", "Rāpana"),
        *("Smith", "Wilson", "O'Sullivan", "Singh", "Faleolo", "Fa'asavalu", "McKenzie"),
    ),
    streets=(
        *("Queen Street", "Ponsonby Road", "Karangahape Road", "Lambton Quay", "Tītoki Street"),
        *("Te Rapa Road", "Pōhutukawa Avenue", "Riccarton Road"),
    ),
    places=(
        Place(city="Whangārei", state="Northland", postcode="0110"),
        Place(city="Auckland", state="Auckland", postcode="1023"),
        Place(city="Ōtāhuhu", state="Auckland", postcode="1062"),
        Place(city="Taupō", state="Waikato", postcode="3330"),
        Place(city="Whakatāne", state="Bay of Plenty", postcode="3120"),
        Place(city="Wellington", state="Wellington", postcode="6011"),
        Place(city="Kaikōura", state="Canterbury", postcode="7300"),
        Place(city="Wānaka", state="Otago", postcode="9305"),
    ),
    stores=(
        Store(id="6101", code="Newmarket", number="101", name="Newmarket"),
        Store(id="6102", code="TeRapa", number="102", name="Te Rapa"),
        Store(id="6103", code="Riccarton", number="103", name="Riccarton"),
    ),
    phones=tuple(f"+642555501{number:02}" for number in range(40)),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Person:
    """One customer: the cells of its row, by column."""

    cells: Mapping[str, str]

    @property
    def key(self) -> str:
        """PERIDX, the document id."""
        return self.cells["PERIDX"]

    @property
    def email(self) -> str:
        """E-mail address; "" if the retailer has none."""
        return self.cells["EMAIL"]

    @property
    def subscribed(self) -> bool | None:
        """Consent in the row, the inverse of PRIVACY; None if PRIVACY is blank."""
        return {"Yes": False, "No": True}.get(self.cells["PRIVACY"])

    def but(self, **cells: str) -> Person:
        """Return the person with other cells."""
        return replace(self, cells={**self.cells, **cells})


CUSTOMER_COLUMNS = (
    *("PERIDX", "PERSON_CODE", "FIRSTNAME", "SURNAME", "ADRS1", "ADRS2", "CITY", "STATE"),
    *("POSTCODE", "COUNTRY", "MOBILE", "EMAIL", "DOB", "PRIVACY", "RETAIL_REP", "LAST_UPDATED"),
    *("CREATED_DATE", "JOINED_STORE_ID", "JOINED_STORE_CODE", "STORE_ID", "STORE_CODE"),
    *("STORE_NUMBER", "REF1_GROUP", "REF1_ID", "REF1_CODE", "LOYALTY_CODE", "LOYALTY_NAME"),
    # Two columns that the vendor does not publish; every retailer has some. They are in `extra`.
    *("RETAIL_CUST", "SMS_OPT_IN"),
)


def make_people(
    chance: random.Random, country: Country, *, first: int, count: int, latest: date
) -> list[Person]:
    """Make customers of a country; the key of the first is `first`."""
    return [
        _person(chance, country, key=str(first + 7 * number), latest=latest)
        for number in range(count)
    ]


def _person(chance: random.Random, country: Country, *, key: str, latest: date) -> Person:
    first_name = chance.choice(country.first_names)
    surname = chance.choice(country.surnames)
    place = chance.choice(country.places)
    joined, visited = chance.choice(country.stores), chance.choice(country.stores)
    house = f"{chance.randint(1, 399)} {chance.choice(country.streets)}"
    second = ""
    match chance.randrange(12):
        case 0:
            house = f"Unit {chance.randint(1, 30)}, {house}"
        case 1:
            second = 'Level 2, "The Mill"'
        case 2:
            second = "c/- Reception\nBuilding B"
    created = latest - timedelta(days=chance.randint(30, 2500))
    updated = latest - timedelta(days=chance.randint(0, 25))
    born = date(1950, 1, 1) + timedelta(days=chance.randrange(55 * 365))
    vip = chance.random() < 0.15
    return Person(
        cells={
            "PERIDX": key,
            "PERSON_CODE": f"{_letters(surname)[:4]}{_letters(first_name)[:4]}{key[-2:]}".upper(),
            "FIRSTNAME": first_name,
            "SURNAME": surname,
            "ADRS1": house,
            "ADRS2": second,
            "CITY": place.city,
            "STATE": place.state,
            "POSTCODE": place.postcode,
            "COUNTRY": country.name,
            "MOBILE": chance.choice(country.phones) if chance.random() < 0.7 else "",
            "EMAIL": _email(chance, first_name, surname, key) if chance.random() < 0.95 else "",
            "DOB": born.isoformat() if chance.random() < 0.6 else "",
            "PRIVACY": chance.choices(("No", "Yes", ""), (70, 24, 6))[0],
            "RETAIL_REP": "Yes" if chance.random() < 0.03 else "No",
            "LAST_UPDATED": _time_of_day(chance, updated),
            "CREATED_DATE": _time_of_day(chance, created),
            "JOINED_STORE_ID": joined.id,
            "JOINED_STORE_CODE": joined.code,
            "STORE_ID": visited.id,
            "STORE_CODE": visited.code,
            "STORE_NUMBER": visited.number,
            "REF1_GROUP": "Customer Category",
            "REF1_ID": "1021" if vip else "1020",
            "REF1_CODE": "VIP" if vip else "RETAIL",
            "LOYALTY_CODE": "99" if vip else "",
            "LOYALTY_NAME": "VIP Gold" if vip else "",
            "RETAIL_CUST": "Yes",
            "SMS_OPT_IN": chance.choice(("Yes", "No", "")),
        }
    )


_ASCII = str.maketrans("āēīōūĀĒĪŌŪÉËÖØÜ", "aeiouAEIOUEEOOU")


def _letters(text: str) -> str:
    return "".join(letter for letter in text.translate(_ASCII) if letter.isalpha())


def _email(chance: random.Random, first_name: str, surname: str, key: str) -> str:
    domain = chance.choice(("example.com", "example.net", "example.org"))
    return f"{_letters(first_name)}.{_letters(surname)}{key[-3:]}@{domain}".lower()


def _time_of_day(chance: random.Random, day: date) -> str:
    seconds = chance.randrange(9 * 3600, 18 * 3600)
    return (datetime.combine(day, datetime.min.time()) + timedelta(seconds=seconds)).isoformat()
