"""Writes the demo's usage file: ``python -m infra.demo.make_usage > infra/demo/usage.csv``. The same every time.

A thousand users with their devices' usage of a month, and a dozen bad rows of the kinds that real exports hold.
"""

from __future__ import annotations

import csv
import random
import sys

GIVEN = [
    "Aisha",
    "Anna",
    "Ben",
    "Björn",
    "Carla",
    "Chen",
    "Daria",
    "David",
    "Elif",
    "Emma",
    "Farid",
    "Fatima",
    "George",
    "Greta",
    "Hana",
    "Hugo",
    "Ines",
    "Ivan",
    "Jana",
    "Jonas",
    "Kaito",
    "Karin",
    "Lena",
    "Liam",
    "Maja",
    "Mateo",
    "Mei",
    "Nadia",
    "Noah",
    "Olga",
    "Omar",
    "Paula",
    "Pedro",
    "Quinn",
    "Rosa",
    "Samir",
    "Sofia",
    "Tariq",
    "Uma",
    "Victor",
    "Wanda",
    "Xin",
    "Yara",
    "Yusuf",
    "Zoë",
]
FAMILY = [
    "Abe",
    "Almeida",
    "Andersson",
    "Bauer",
    "Becker",
    "Costa",
    "Dubois",
    "Eriksen",
    "Ferrari",
    "Fischer",
    "García",
    "Haddad",
    "Hansen",
    "Ivanova",
    "Jansen",
    "Khan",
    "Kim",
    "Kovács",
    "Larsen",
    "Lopez",
    "Martin",
    "Meyer",
    "Nakamura",
    "Novak",
    "O'Brien",
    "Okafor",
    "Patel",
    "Petrov",
    "Rossi",
    "Sato",
    "Schmidt",
    "Silva",
    "Singh",
    "Smith",
    "Tanaka",
    "Varga",
    "Wagner",
    "Weber",
    "Yilmaz",
    "Zhang",
]
DEVICES = ["Heat pump", "Wall box", "Solar inverter", "Home battery", "Smart meter", "Air conditioner", "Boiler"]
PLANS = ["Basic", "Family", "Plus", "Business"]
ASCII = str.maketrans("áäåćčéëíñöøóúüğışşß", "aaacceeinooouugisss")
HEADER = ["user_id", "email", "name", "plan", "device", "usage_kwh", "active_days", "cost_eur", "change_percent"]
BAD = [
    ("", "nobody@mail.example.net", "No Id"),
    ("u-9001", "", "No Address"),
    ("u-9002", "no-at-sign.example.com", "No At Sign"),
    ("u-9003", "two@@mail.example.net", "Two At Signs"),
    ("u-9004", "space in@mail.example.net", "Space In It"),
    ("u-9005", "dot.@mail.example.net", "Dot Before At"),
    ("u-9006", "umlaut-ü@mail.example.net", "Not Ascii"),
    ("u-9007", "user@no-domain", "No Domain"),
    ("u-9008", "user@10.0.0.256", "An Address, Not A Name"),
    ("x" * 200, "long-id@mail.example.net", "Long Id"),
    ("u-9010", "twice@mail.example.net", "Stands Twice"),
    ("u-9010", "twice-again@mail.example.net", "Stands Twice"),
]


def main() -> None:
    chance = random.Random(2026)  # noqa: S311 - the same file every time
    out = csv.writer(sys.stdout, lineterminator="\n")
    out.writerow(HEADER)
    rows = [(f"u-{1000 + n}", None, f"{chance.choice(GIVEN)} {chance.choice(FAMILY)}") for n in range(1000)]
    rows[417] = ("team:energy/berlin:7", None, rows[417][2])
    bad = dict(zip(chance.sample(range(1000), len(BAD)), BAD, strict=True))
    for n, (user_id, _, name) in enumerate(rows):
        if n in bad:
            out.writerow([*bad[n], *_usage(chance)])
        local = name.lower().translate(ASCII).replace("'", "").replace(" ", ".")
        # Three customers whose provider has blocked us: SES refuses their mail.
        domain = "blocked.example.org" if n in {120, 555, 901} else "mail.example.net"
        out.writerow([user_id, f"{local}.{n}@{domain}", name, *_usage(chance)])
    sys.stdout.write("u-9011,short-row@mail.example.net,Too Few Fields\n")


def _usage(chance: random.Random) -> list[str]:
    kwh = round(chance.lognormvariate(5, 0.6), 1)
    return [
        chance.choice(PLANS),
        chance.choice(DEVICES),
        f"{kwh:.1f}",
        str(chance.randint(3, 31)),
        f"{kwh * 0.29:.2f}",
        f"{chance.gauss(0, 12):+.1f}",
    ]


if __name__ == "__main__":
    main()
