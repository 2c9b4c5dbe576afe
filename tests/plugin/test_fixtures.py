"""The public fixtures in a stranger's project: no target, any asyncio mode, any clock back end."""

from __future__ import annotations

import pytest

STRICT = "-o", "asyncio_mode=strict", "-o", "asyncio_default_fixture_loop_scope=function"
AUTO = "-o", "asyncio_mode=auto", "-o", "asyncio_default_fixture_loop_scope=function"
EVERYTHING = """
from datetime import datetime, timezone

import pytest
from pytest_cronsession.driver import every

JOB = {
    "name": "n",
    "schedule": {"kind": "every", "everyMs": 600_000},
    "session": {"target": "named", "name": "room"},
    "payload": {"kind": "agentTurn", "text": "hi"},
}


def test_plain(cronsession_driver, cronsession_clock):
    job = cronsession_driver.add(every(minutes=10))
    cronsession_clock.advance(hours=1)
    assert len(cronsession_driver.turns(job)) == 6
    assert cronsession_clock.now_ms == cronsession_driver.now


def test_the_driver_moves_the_clock_too(cronsession_driver, cronsession_clock):
    before = cronsession_clock.now
    cronsession_driver.advance(minutes=5)
    assert (cronsession_clock.now - before).total_seconds() == 300


@pytest.mark.asyncio
async def test_coroutine(cronsession_gateway, cronsession_clock):
    await cronsession_gateway.job_add({"job": JOB})
    cronsession_clock.advance(minutes=30)
    runs = (await cronsession_gateway.run_list())["runs"]
    assert [r["status"] for r in runs] == ["ok"] * 3


@pytest.mark.asyncio
async def test_coroutine_with_the_driver(cronsession_driver):
    assert cronsession_driver.run_now(cronsession_driver.add()).run.status == "ok"


@pytest.mark.parametrize("n", [1, 2])
def test_nothing_is_kept_between_tests(cronsession_gateway, n):
    assert cronsession_gateway.call("job/list") == {"jobs": []}
    cronsession_gateway.call("job/add", {"job": JOB})
    assert cronsession_gateway.state_dir.is_dir()
"""


@pytest.mark.parametrize("mode", [STRICT, AUTO], ids=["strict", "auto"])
def test_in_every_asyncio_mode(pytester: pytest.Pytester, mode: tuple[str, ...]) -> None:
    pytester.makepyfile(EVERYTHING)
    result = pytester.runpytest_subprocess("-W", "error", *mode)
    result.assert_outcomes(passed=6)
    result.stdout.no_fnmatch_line("*= cronsession =*")


@pytest.mark.parametrize("backend", ["freezegun", "time-machine"])
def test_wall_clock_back_ends(pytester: pytest.Pytester, backend: str) -> None:
    pytester.makepyfile(
        f"""
        import time
        from datetime import datetime, timedelta, timezone
        import pytest
        from pytest_cronsession.driver import every

        @pytest.mark.cronsession_clock(start="2031-05-01T00:00:00Z", backend={backend!r})
        @pytest.mark.asyncio
        async def test_follows(cronsession_clock, cronsession_driver):
            assert datetime.now(timezone.utc).year == 2031
            job = cronsession_driver.add(every(hours=6))
            cronsession_clock.advance(days=1)
            assert datetime.now(timezone.utc) == cronsession_clock.now
            assert time.time() == cronsession_clock.now_ms / 1000
            assert len(cronsession_driver.turns(job)) == 4

        def test_and_is_real_again():
            assert datetime.now().year < 2031
        """
    )
    result = pytester.runpytest_subprocess("-W", "error", *STRICT)
    result.assert_outcomes(passed=2)
    assert result.duration < 60  # a patched stopwatch would say years


def test_mistakes_are_told(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
        import pytest

        @pytest.mark.cronsession_clock(backend="sundial")
        def test_unknown_backend(cronsession_clock): ...

        @pytest.mark.cronsession_clock(begin="2031-05-01T00:00:00Z")
        def test_unknown_argument(cronsession_clock): ...

        @pytest.mark.cronsession_clock(start="2031-05-01T00:00:00")
        def test_naive_start(cronsession_clock): ...

        @pytest.mark.cronsession_config(sessionRetention="24h")
        def test_unknown_config(cronsession_gateway): ...

        def test_backwards(cronsession_clock):
            with pytest.raises(ValueError, match="cannot go back"):
                cronsession_clock.advance_to(0)
        """
    )
    result = pytester.runpytest_subprocess(*STRICT)
    result.assert_outcomes(passed=1, errors=4)
    assert "fixtures.py" not in result.stdout.str()
    assert "Traceback" not in result.stdout.str()
    result.stdout.fnmatch_lines(
        [
            "*clock back end 'sundial': choose one of freezegun, time-machine*",
            "*marker cronsession_clock takes start and backend, not *begin*",
            "*has no offset*",
            "*sessionRetention*",
        ],
        consecutive=False,
    )
