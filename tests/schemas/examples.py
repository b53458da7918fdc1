"""One type of every sort that people ask for, and what a model may answer with."""

from __future__ import annotations

import datetime
import decimal
import enum
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any, Generic, Literal, NamedTuple, NewType, NotRequired, Optional, TypedDict, TypeVar

import msgspec
import pydantic
import typing_extensions
from pydantic.dataclasses import dataclass as pydantic_dataclass

T = TypeVar("T")


@dataclass
class Person:
    """Somebody in the text."""

    name: Annotated[str, "as it is written"]
    age: int
    email: str | None = None
    tags: list[str] = field(default_factory=list)
    title: str = "Dr"


@dataclass
class Adult:
    age: int

    def __post_init__(self) -> None:
        if self.age < 18:
            raise ValueError("an adult is 18 or older")


@dataclass
class Family:
    people: list[Person]
    home: Address
    pets: dict[str, Pet] = field(default_factory=dict)


class Address(msgspec.Struct, rename="camel", forbid_unknown_fields=True):
    """Where somebody lives."""

    street_name: str
    zip_code: Annotated[str, msgspec.Meta(pattern=r"^\d{5}$", description="five digits")]
    floor: int | msgspec.UnsetType = msgspec.UNSET


class Hiker(TypedDict):
    name: str
    boots: NotRequired[int]


class Walker(typing_extensions.TypedDict):
    """As pydantic's users write it before Python 3.12."""

    name: typing_extensions.Annotated[str, typing_extensions.Doc("in full")]
    boots: NotRequired[int]


class Point(NamedTuple):
    x: float
    y: float = 0.0


class Colour(enum.Enum):
    """A colour of the flag."""

    RED = "red"
    GREEN = "green"


class Level(enum.IntEnum):
    LOW = 1
    HIGH = 2


@dataclass
class Cat:
    name: str
    lives: int = 9


@dataclass
class Dog:
    name: str
    friends: list[Pet] = field(default_factory=list)


Pet = Cat | Dog


class Circle(msgspec.Struct, tag="circle"):
    radius: float


class Square(msgspec.Struct, tag="square"):
    side: float


@dataclass
class Paid:
    amount: decimal.Decimal
    status: Literal["paid"] = "paid"


@dataclass
class Owed:
    amount: decimal.Decimal
    status: Literal["owed"] = "owed"


@dataclass
class Box(Generic[T]):
    content: T
    more: list[T]


@dataclass
class Tree:
    value: int
    left: Optional[Tree] = None  # noqa: UP045 - as many write it
    right: Tree | None = None


@dataclass
class Moments:
    at: datetime.datetime
    day: datetime.date
    id: uuid.UUID
    price: decimal.Decimal


Seats = Annotated[list[Annotated[int, msgspec.Meta(ge=1)]], msgspec.Meta(min_length=1, max_length=3)]
UserId = NewType("UserId", Annotated[int, msgspec.Meta(ge=0)])


# --- pydantic -------------------------------------------------------------------------------------------------------


class Item(pydantic.BaseModel):
    """A line of the order."""

    name: str = pydantic.Field(description="what is bought")
    price: float = pydantic.Field(ge=0)
    count: int = 1


class Order(pydantic.BaseModel):
    id: Annotated[str, pydantic.Field(min_length=3)]
    items: list[Item]
    note: str | None = None

    @pydantic.field_validator("items")
    @classmethod
    def not_empty(cls, items: list[Item]) -> list[Item]:
        if not items:
            raise ValueError("an order has at least one item")
        return items


class Comment(pydantic.BaseModel):
    text: str
    replies: list[Comment] = []


class Card(pydantic.BaseModel):
    kind: Literal["card"] = "card"
    number: str


class Cash(pydantic.BaseModel):
    kind: Literal["cash"] = "cash"
    note: str = ""


class Payment(pydantic.BaseModel):
    means: Card | Cash = pydantic.Field(discriminator="kind")


class Apple(pydantic.BaseModel):
    weight: float


class Pear(pydantic.BaseModel):
    weight: float


class Aliased(pydantic.BaseModel):
    first_name: str = pydantic.Field(alias="firstName")


class Numbers(pydantic.RootModel[list[int]]):
    pass


@pydantic_dataclass
class Checked:
    count: int = pydantic.Field(gt=0)


class Exact(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(strict=True, extra="forbid")
    day: datetime.date
    pair: tuple[int, str]


@dataclass
class Mixed:
    """A dataclass that holds a pydantic model."""

    item: Item
    at: Point
    limit: Annotated[int, pydantic.Field(le=5)] = 5


PERSON = {"name": "Ada", "age": 36, "email": None, "tags": ["maths"], "title": "Dr"}

DECODES: list[tuple[Any, Any, Any]] = [  # a type, what a model answers, and what comes of it
    # objects
    (Person, PERSON, Person("Ada", 36, None, ["maths"])),
    (Person, {"name": "Ada", "age": 36}, Person("Ada", 36)),
    (Person, {"name": "Ada", "age": 36, "tags": None, "title": None}, Person("Ada", 36)),  # null: left out
    (Person, {"name": "Ada", "age": 36.0, "unheard_of": 1}, Person("Ada", 36)),
    (Adult, {"age": 18}, Adult(18)),
    (Address, {"streetName": "Elm", "zipCode": "12345"}, Address(street_name="Elm", zip_code="12345")),
    (Address, {"streetName": "Elm", "zipCode": "12345", "floor": None}, Address(street_name="Elm", zip_code="12345")),
    (Hiker, {"name": "Reinhold"}, {"name": "Reinhold"}),
    (Hiker, {"name": "Reinhold", "boots": 2}, {"name": "Reinhold", "boots": 2}),
    (Hiker, {"name": "Reinhold", "boots": None}, {"name": "Reinhold"}),
    (Walker, {"name": "Johnnie"}, {"name": "Johnnie"}),
    (Point, {"x": 1, "y": 2.5}, Point(1.0, 2.5)),
    (Point, {"x": 1}, Point(1.0)),
    (Box[int], {"content": 1, "more": [2]}, Box(1, [2])),
    (Box[list[Person]], {"content": [PERSON], "more": []}, Box([Person("Ada", 36, None, ["maths"])], [])),
    (Tree, {"value": 1, "left": {"value": 2}, "right": None}, Tree(1, Tree(2))),
    (
        Family,
        {"people": [PERSON], "home": {"streetName": "Elm", "zipCode": "12345"}, "pets": {}},
        Family([Person("Ada", 36, None, ["maths"])], Address(street_name="Elm", zip_code="12345")),
    ),
    (
        Moments,
        {
            "at": "2025-02-03T04:05:06Z",
            "day": "2025-02-03",
            "id": "00000000-0000-4000-8000-000000000001",
            "price": "1.50",
        },
        Moments(
            datetime.datetime(2025, 2, 3, 4, 5, 6, tzinfo=datetime.UTC),
            datetime.date(2025, 2, 3),
            uuid.UUID("00000000-0000-4000-8000-000000000001"),
            decimal.Decimal("1.50"),
        ),
    ),
    # what is no object
    (str, "Paris", "Paris"),
    (int, 5, 5),
    (int, 10**30, 10**30),
    (float, 5, 5.0),
    (bool, True, True),
    (UserId, 3, 3),
    (bytes, "aGk=", b"hi"),
    (Any, {"a": [1]}, {"a": [1]}),
    (Colour, "green", Colour.GREEN),
    (Level, 2, Level.HIGH),
    (Literal["yes", "no", 3, None], "no", "no"),
    (Literal["yes", "no", 3, None], None, None),
    (Literal[Colour.RED], "red", Colour.RED),
    (list[int], [1, 2], [1, 2]),
    (list, [1, "a"], [1, "a"]),
    (Sequence[int], [1], [1]),
    (set[str], ["a", "b", "a"], {"a", "b"}),
    (frozenset[int], [1], frozenset([1])),
    (tuple[int, ...], [1, 2], (1, 2)),
    (tuple[int, str], [1, "a"], (1, "a")),
    (Seats, [1, 2], [1, 2]),
    (dict[str, int], {"a": 1}, {"a": 1}),
    (Mapping[str, Person], {"x": {"name": "Ada", "age": 36}}, {"x": Person("Ada", 36)}),
    (dict[int, str], {"5": "five"}, {5: "five"}),
    (dict[Colour, int], {"red": 1}, {Colour.RED: 1}),
    # unions
    (Person | None, None, None),
    (Optional[Person], {"name": "Ada", "age": 36}, Person("Ada", 36)),  # noqa: UP045
    (int | str, "5", "5"),
    (float | int, 5, 5),
    (int | float, 5.0, 5.0),
    (list[int] | dict[str, int], {"a": 1}, {"a": 1}),
    (Cat | Dog, {"type": "Dog", "name": "Rex"}, Dog("Rex")),  # the same field in both, told apart by the tag put in
    (Cat | Dog, {"type": "Cat", "name": "Tom", "lives": None}, Cat("Tom")),
    (Cat | Dog, {"name": "Rex", "friends": 3, "lives": 1}, Cat("Rex", 1)),  # without it, the first that fits
    (Dog, {"name": "Rex", "friends": [{"type": "Cat", "name": "Tom"}]}, Dog("Rex", [Cat("Tom")])),
    (Circle | Square, {"type": "square", "side": 2}, Square(2.0)),
    (list[Paid | Owed], [{"status": "owed", "amount": "2"}], [Owed(decimal.Decimal(2))]),
    (Person | str | None, "nobody", "nobody"),
    (Annotated[int | None, msgspec.Meta(ge=3)], 3, 3),
    # pydantic
    (Item, {"name": "tea", "price": 2}, Item(name="tea", price=2)),
    (Item, {"name": "tea", "price": 2, "count": None}, Item(name="tea", price=2)),
    (Order, {"id": "abc", "items": [{"name": "tea", "price": "2", "count": None}]}, None),
    (Comment, {"text": "a", "replies": [{"text": "b", "replies": None}]}, None),
    (Payment, {"means": {"kind": "cash", "note": None}}, Payment(means=Cash())),
    (Payment, {"means": {"kind": "card", "number": "1"}}, Payment(means=Card(number="1"))),
    (Aliased, {"firstName": "Ada"}, Aliased(firstName="Ada")),
    (Numbers, [1, 2], Numbers([1, 2])),
    (Checked, {"count": 3}, Checked(3)),
    (Exact, {"day": "2025-02-03", "pair": [1, "a"]}, Exact(day=datetime.date(2025, 2, 3), pair=(1, "a"))),
    (list[Item], [{"name": "tea", "price": 2}], [Item(name="tea", price=2)]),
    (Apple | Pear, {"type": "Pear", "weight": 1}, Pear(weight=1)),
    (Cat | Item, {"type": "Item", "name": "tea", "price": 1}, Item(name="tea", price=1)),
    (Card | Cash | None, {"kind": "cash"}, Cash()),
    (Annotated[Card | Cash, pydantic.Field(discriminator="kind")], {"kind": "cash"}, Cash()),
    (Annotated[int, pydantic.Field(ge=3)], 4, 4),
    (Mixed, {"item": {"name": "tea", "price": 2}, "at": {"x": 1}}, Mixed(Item(name="tea", price=2), Point(1.0))),
]
TYPES = list({repr(type): type for type, _, _ in DECODES}.values())
