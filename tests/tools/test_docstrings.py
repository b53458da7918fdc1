"""Docstrings of every style: what goes to the parameters, and what stays the description."""

from __future__ import annotations

import pytest

from multiturn.tools.docstrings import read

NAMES = ("city", "unit", "low", "high")

STYLES = [
    pytest.param(
        """The weather now.

        More about it.

        Args:
            city (Optional[Dict[str, Tuple(int)]]): a city's name,
                in English: Paris
            unit: c or f
            other: of no parameter

        Returns:
            words
        """,
        "The weather now.\n\nMore about it.\n\nReturns:\n    words",
        {"city": "a city's name, in English: Paris", "unit": "c or f"},
        id="google",
    ),
    pytest.param(
        """The weather now.

        Parameters
        ----------
        city : str
            a city's name,
            in English

            and more
        low, high : int, optional
            bounds
        unit

        Returns
        -------
        str
            words
        """,
        "The weather now.\n\nReturns\n-------\nstr\n    words",
        {"city": "a city's name, in English and more", "low": "bounds", "high": "bounds"},
        id="numpy",
    ),
    pytest.param(
        """The weather now.

        :param str city: a city's name,
            in English
        :type city: str
        :param unit: c or f
        :returns: words
        """,
        "The weather now.\n\n:returns: words",
        {"city": "a city's name, in English", "unit": "c or f"},
        id="sphinx",
    ),
    pytest.param(
        """The weather: now.

        city: a city's name,
          in English
        unit (str): c or f
        Note: what is no parameter stays
        high:
          on its own line
        """,
        "The weather: now.\n\nNote: what is no parameter stays",
        {"city": "a city's name, in English", "unit": "c or f", "high": "on its own line"},
        id="lines",
    ),
    pytest.param(
        "Args:\n    city: where\n\nThen the weather.\n    city: not here",
        "Then the weather.\n    city: not here",
        {"city": "where"},
        id="a section ends where the indentation does",
    ),
    pytest.param("Now.\n\nKeyword Args:\n    **unit: c", "Now.", {"unit": "c"}, id="stars are no part of a name"),
    pytest.param("Args:\nnothing indented", "Args:\nnothing indented", {}, id="a heading alone is prose"),
    pytest.param("Parameters are good.", "Parameters are good.", {}, id="a word alone is no heading"),
    pytest.param("See http://city: no", "See http://city: no", {}, id="in the middle of a line is no parameter"),
    pytest.param("city: ", "", {}, id="nothing said"),
    pytest.param("", "", {}, id="empty"),
    pytest.param(None, "", {}, id="none"),
]


@pytest.mark.parametrize(("docstring", "description", "parameters"), STYLES)
def test_docstrings_are_read(docstring: str | None, description: str, parameters: dict[str, str]) -> None:
    assert read(docstring, NAMES) == (description, parameters)
