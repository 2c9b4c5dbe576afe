"""Requests that are wrong on purpose: what counts as refused, and what fails the requirement."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pytest_cronsession.channel import Caller, PythonChannel
from pytest_cronsession.driver import Driver
from pytest_cronsession.outcomes import ConformanceFailure, RefusedRequest, TargetError
from pytest_cronsession.worlds import World

from .test_stdio import child
from .tiny_gateway import Tiny, target

WRONG = {"job": {"name": 5}}


class Odd(Tiny):
    """Raises what it is told to raise by the name of a job, or answers so."""

    def job_add(self, params: dict[str, Any]) -> Any:
        name = params["job"]["name"]
        if isinstance(name, BaseException):
            raise name
        if isinstance(name, dict):
            return name
        return super().job_add(params)

    def gateway_start(self, params: dict[str, Any]) -> dict[str, Any]:
        if "colour" in params["config"]:
            raise ValueError("config.colour is no setting")
        return super().gateway_start(params)


@pytest.fixture
def driver() -> Iterator[Driver]:
    world = World(target(Odd))
    yield Driver(world, requirement="CS-X-001")
    world.close()


@pytest.mark.parametrize("error", [ValueError("no"), TypeError("no"), KeyError("no"), UnicodeError("no")])
def test_errors_that_are_refusals(driver: Driver, error: Exception) -> None:
    attempt = driver.attempt("job/add", {"job": {"name": error}})
    assert attempt.answer is None
    assert "no" in str(attempt.refusal)
    assert driver.trouble is None
    driver.add(target="named", name="still here")


@pytest.mark.parametrize("error", [RuntimeError("broken"), AttributeError("broken"), OSError("broken")])
def test_errors_that_are_none(driver: Driver, error: Exception) -> None:
    with pytest.raises(ConformanceFailure, match=r"not refused, it broke the gateway: .*broken"):
        driver.attempt("job/add", {"job": {"name": error}})
    assert driver.trouble is not None


def test_a_rejected_write_is_a_refusal(driver: Driver) -> None:
    answer = {"rejected": {"field": "name", "reason": "is no text"}}
    assert driver.attempt("job/add", {"job": {"name": answer}}).refusal == "name: is no text"


def test_an_accepted_one_has_its_answer(driver: Driver) -> None:
    answer = {"job": {"id": "j", "enabled": True, "nextRunAtMs": None}}
    attempt = driver.attempt("job/add", {"job": {"name": answer}})
    assert attempt.refusal is None
    assert attempt.answer == answer


def test_an_answer_that_breaks_the_schema_is_no_refusal(driver: Driver) -> None:
    with pytest.raises(ConformanceFailure, match="breaks the schema"):
        driver.attempt("job/add", {"job": {"name": {"job": {"id": 5}}}})


def test_a_refused_start_may_be_followed_by_another(driver: Driver) -> None:
    driver.stop()
    assert "config.colour" in str(driver.try_start({"colour": "red"}).refusal)
    assert not driver.world.running
    driver.start()
    driver.add(target="named", name="started")


def test_a_request_that_should_be_right_and_is_refused_ends_the_trust() -> None:
    channel = PythonChannel(Odd, "odd")
    caller = Caller(channel)
    with pytest.raises(RefusedRequest, match="invalid literal"):
        caller.call("initialize", {"protocol": 1, "specRevision": 1}) and caller.finish(
            "job/list", channel.submit("job/add", {"job": {"name": ValueError("invalid literal")}})
        )
    assert caller.dead is not None
    channel.close()


@pytest.mark.parametrize(("code", "refused"), [(-32602, True), (-32000, False), (-32603, False)])
def test_error_codes_on_the_wire(tmp_path: Path, code: int, refused: bool) -> None:
    answer = f"{{'jsonrpc': '2.0', 'id': m['id'], 'error': {{'code': {code}, 'message': 'name is no text'}}}}"
    channel = child(tmp_path, f"say(json.dumps({answer}))")
    caller = Caller(channel)
    with pytest.raises(TargetError, match="name is no text") as caught:
        caller.attempt("job/add", WRONG)
    assert isinstance(caught.value, RefusedRequest) is refused
    assert (caller.dead is None) is refused
    channel.close()
