"""Messages are checked quickly; what is found right must be right by the validator that explains what is wrong."""

from __future__ import annotations

import copy
import enum
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_cronsession import schemas
from pytest_cronsession.contract import OPERATIONS
from pytest_cronsession.strategies import jobs

NOW = 1_772_438_400_000
SPEC, STORED = "job.schema.json#/$defs/spec", "job.schema.json#/$defs/stored"
SIDES = [
    f"protocol.schema.json#/$defs/{name.replace('/', '~1')}:{s}"
    for name in OPERATIONS
    for s in ("params", "result")
]
numbers = [0, -1, 1.0, 1.5, 2**53, 10**30, float("nan"), float("inf")]
words = ["ok", "cron", "main", "", "x\n", "\ud800", "*/5 * * * *"]
scalars = st.one_of(
    *(st.none(), st.booleans(), st.integers(), st.floats(), st.text(), st.sampled_from(numbers)),
    st.sampled_from(words),
)


class Status(enum.Enum):
    OK = "ok"


class Words(enum.StrEnum):
    OK = "ok"


odd = st.sampled_from([(), (1,), {1}, b"ok", Status.OK, Words.OK, object(), {1: 2}, {None: 1}, {"\ud800": 1}])
anything: st.SearchStrategy[Any] = st.recursive(
    scalars | odd,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner, max_size=3),
    max_leaves=6,
)
often = settings(deadline=None, derandomize=True, database=None, max_examples=300)


def agrees(reference: str, document: Any) -> None:
    slow = not list(schemas.validator(reference).iter_errors(document))
    assert (schemas.problem(reference, document) is None) is slow


@often
@given(st.sampled_from(SIDES), anything)
def test_about_anything_both_validators_agree(reference: str, document: Any) -> None:
    agrees(reference, document)


def places(value: Any) -> list[tuple[Any, Any]]:
    """Every member of every object and list in it, as (container, key)."""
    found = []
    pairs = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, member in pairs:
        found += [(value, key), *places(member)]
    return found


@often
@given(jobs(NOW), st.data())
def test_about_a_job_with_one_member_changed_both_validators_agree(
    job: dict[str, Any], data: st.DataObject
) -> None:
    agrees(SPEC, job)
    changed = copy.deepcopy(job)
    where, key = data.draw(st.sampled_from(places(changed)))
    if data.draw(st.booleans()):
        where[key] = data.draw(anything)
    elif isinstance(where, dict):
        where[data.draw(st.sampled_from(["id", "tz", "name", "nextRunAtMs", key]))] = where.pop(key)
    agrees(SPEC, changed)
    agrees(STORED, changed)


@pytest.mark.parametrize(
    "value", [(1, 2), Status.OK, b"x", {1: 1}], ids=["tuple", "enum", "bytes", "integer-key"]
)
def test_what_json_cannot_say_is_no_right_answer(value: Any) -> None:
    listed = {"jobs": value} if isinstance(value, tuple) else {"started": False, "reason": value}
    operation = "job/list" if isinstance(value, tuple) else "job/trigger"
    assert schemas.message_problem(operation, "result", listed) is not None


@pytest.mark.parametrize("document", [[], 3, "\ud800", float("nan"), None])
def test_what_is_wrong_is_said_by_the_other_validator(document: Any) -> None:
    assert "is not of type 'object'" in (schemas.message_problem("job/list", "result", document) or "")
