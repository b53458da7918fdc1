"""What providers' errors mean in the Responses API; and how our server words ours. (What is as in chat completions is
tested there.)"""

from __future__ import annotations

import json
from typing import Any

import pytest

from multiturn import errors
from multiturn.errors import (
    AuthenticationFailed,
    ContextOverflow,
    InvalidInput,
    ModelError,
    ModelNotFound,
    MultiturnError,
    NotFound,
    ProviderFailed,
    RateLimited,
    RequestRejected,
    StateLost,
)
from multiturn.formats.responses import Dialect, decode_error, encode_error

OPENAI = Dialect(key_variable="OPENAI_API_KEY")


def of(status: int, body: Any = b"", headers: dict[str, str] | None = None, dialect: Dialect = OPENAI) -> ModelError:
    return decode_error(status, headers or {}, body if isinstance(body, bytes) else json.dumps(body).encode(), dialect)


def openai(message: str, code: str | None = None, param: str | None = None) -> dict[str, Any]:
    return {"error": {"message": message, "type": "invalid_request_error", "param": param, "code": code}}


LOST: list[tuple[int, Any]] = [
    # OpenAI
    (
        400,
        openai("Previous response with id 'resp_1' not found.", "previous_response_not_found", "previous_response_id"),
    ),
    # ... the code alone, the parameter alone, the words alone, whatever the id
    (400, openai("Gone.", "previous_response_not_found")),
    (400, openai("Gone.", None, "previous_response_id")),
    (400, openai("Previous response with id 'x' not found.")),
    # ... for organisations that keep nothing
    (400, openai("Previous response cannot be used for this organization due to Zero Data Retention.")),
    # xAI, vLLM
    (404, {"code": "Some requested entity was not found", "error": "Response with id=resp_1 not found."}),
    (
        404,
        {
            "error": {
                "message": "Response with id 'resp_1' not found.",
                "type": "invalid_request_error",
                "param": None,
                "code": 404,
            }
        },
    ),
    # in a gateway's words
    (400, openai("upstream said: previous_response_not_found")),
    (404, {"detail": "The response resp_1 does not exist"}),
]


@pytest.mark.parametrize(("status", "body"), LOST)
def test_an_answer_that_the_provider_no_longer_holds(status: int, body: Any) -> None:
    error = of(status, body, {"X-Request-Id": "req_1"})
    assert type(error) is StateLost
    assert (error.provider, error.status, error.request_id) == ("openai", status, "req_1")
    assert str(error).startswith(f"openai answered {status}")
    assert "base URL" not in str(error)


OTHERS: list[tuple[int, Any, type[ModelError]]] = [
    (404, openai("The model `x` does not exist", "model_not_found"), ModelNotFound),
    (404, b"<html>Not Found</html>", ModelNotFound),
    (400, openai("Unknown parameter: 'input[0].x'.", "unknown_parameter", "input[0].x"), RequestRejected),
    (
        400,
        openai("Item 'fc_1' of type 'function_call' was provided without its required 'reasoning' item: 'rs_1'."),
        RequestRejected,
    ),
    (400, openai("Your input exceeds the context window of this model."), ContextOverflow),
    (401, openai("Previous response not found."), AuthenticationFailed),
    (429, openai("Rate limit reached", "rate_limit_exceeded"), RateLimited),
    (500, openai("The response was not found."), ProviderFailed),
]


@pytest.mark.parametrize(("status", "body", "kind"), OTHERS)
def test_what_is_another_error(status: int, body: Any, kind: type[ModelError]) -> None:
    error = of(status, body)
    assert type(error) is kind
    assert (error.provider, error.status) == ("openai", status)


def test_the_name_of_the_key_is_told() -> None:
    assert str(of(401, openai("No."))).endswith("Check OPENAI_API_KEY.")


def test_a_key_that_a_provider_repeats_is_blotted_out() -> None:
    error = of(400, openai("Previous response of sk-proj-abcdefghijkl_mnop not found."))
    assert type(error) is StateLost
    assert "[key]" in str(error)
    assert "abcdefghijkl" not in f"{error} {error.body}"


# --- as a server ----------------------------------------------------------------------------------------------------


def test_a_previous_response_that_is_not_here() -> None:
    status, body = encode_error(NotFound("previous response", "resp_1"))
    assert status == 400
    assert json.loads(body) == openai(
        "Previous response with id 'resp_1' not found.", "previous_response_not_found", "previous_response_id"
    )
    assert type(of(status, body)) is StateLost  # as our own client reads it


def test_a_response_that_is_not_here() -> None:
    status, body = encode_error(NotFound("response", "resp_1"))
    assert (status, json.loads(body)["error"]["code"]) == (404, "not_found")


def test_what_the_provider_has_lost_is_not_the_client_s_doing() -> None:
    status, body = encode_error(StateLost("openai answered 400: gone.", status=400, code="previous_response_not_found"))
    assert status == 502
    assert json.loads(body)["error"] == {
        "message": "openai answered 400: gone.",
        "type": "server_error",
        "param": None,
        "code": "upstream_error",
    }


def test_the_field_that_is_wrong_is_named() -> None:
    _, body = encode_error(InvalidInput("input[2].content[0].type: 'smell' is not known here"))
    assert json.loads(body)["error"]["param"] == "input[2].content[0].type"


def test_every_error_has_a_status() -> None:
    kinds = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, MultiturnError)]
    for kind in kinds:
        error = kind("response", "r") if kind is NotFound else kind("x")
        assert 400 <= encode_error(error)[0] < 600
    assert b"secret" not in encode_error(ZeroDivisionError("secret"))[1]
