"""What a run sees in its session, and what it leaves there."""

from __future__ import annotations

from ..checkers import fresh_context, shared_context
from ..driver import Driver, wish
from ..model import ERROR
from ..requirement import requirement


@requirement("CS-SES-001")
def test_a_fresh_run_sees_no_earlier_turn(cronsession_driver: Driver) -> None:
    d = cronsession_driver
    job, other = d.add(target="isolated"), d.add(target="isolated")
    turns = [d.evidence(job), d.evidence(job), d.evidence(other)]
    d.judge(fresh_context(turns, turns))


@requirement("CS-SES-002")
def test_fresh_runs_have_session_ids_of_their_own(cronsession_driver: Driver) -> None:
    d = cronsession_driver
    job = d.add(target="isolated")
    d.run_now(job)
    d.run_now(job)
    ids = [r.session_id for r in d.runs(job) if r.session_id]
    if len(ids) < 2:
        d.pass_over("the runs tell no session id")
    d.expect(len(set(ids)) == len(ids), f"two isolated runs report the same session id: {ids}")


@requirement("CS-SES-003")
def test_an_isolated_run_leaves_the_main_session_alone(cronsession_driver: Driver) -> None:
    d = cronsession_driver
    main = wish("main")
    said = d.say(main)
    run = d.evidence(d.add(target="isolated"))
    later = d.say(main)
    d.expect(later.saw_turn(said), "the main session lost its own earlier turn")
    d.judge(fresh_context([later], [run]) + fresh_context([run], [said]))


@requirement("CS-SES-004")
def test_people_and_jobs_share_a_named_session(cronsession_driver: Driver) -> None:
    d = cronsession_driver
    name = d.fresh_name("room")
    job = d.add(target="named", name=name)
    d.judge(shared_context([d.evidence(job), d.say(wish("named", name=name)), d.evidence(job)]))


@requirement("CS-SES-005")
def test_a_failed_turn_loses_nothing(cronsession_driver: Driver) -> None:
    d = cronsession_driver
    job = d.add(target="named", name=d.fresh_name("bumpy"))
    first = d.evidence(job)
    d.answers(job, ERROR)
    failed = d.run_now(job).turn
    d.expect(
        failed is not None and failed.state == "failed", "the run that should fail did not reach the model"
    )
    d.expect(
        d.evidence(job).saw_turn(first), "after a failed turn the next run does not see the turn before it"
    )


@requirement("CS-SES-006")
def test_a_shared_session_is_one_row(cronsession_driver: Driver) -> None:
    d = cronsession_driver
    # Another name comes first: a gateway with one row for all names has it from here on.
    d.evidence(d.add(target="named", name=d.fresh_name("other-row")))
    job = d.add(target="named", name=d.fresh_name("one-row"))
    before = {s.key for s in d.sessions()}
    d.evidence(job)
    after_one = {s.key: s.id for s in d.sessions() if s.key not in before}
    d.expect(len(after_one) == 1, f"the first run of a named session left the rows {sorted(after_one)}")
    d.evidence(job)
    d.evidence(job)
    after_three = {s.key: s.id for s in d.sessions() if s.key not in before}
    d.expect(
        after_three == after_one,
        f"one run left {after_one}, three runs left {after_three}: the row or its session id changed",
    )


@requirement("CS-SES-007")
def test_a_system_event_is_a_turn_of_the_main_session(cronsession_driver: Driver) -> None:
    d = cronsession_driver
    job = d.add(target="main")
    event = d.evidence(job)
    d.expect(
        d.say(wish("main")).saw_turn(event), "a human turn in the main session does not see the system event"
    )
