"""The scripted model in this process: plans, holds, releases, and what a request proves."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest

from pytest_cronsession.model import (
    ERROR,
    HANG,
    OK,
    TRANSIENT,
    Answer,
    InProcessModel,
    ModelError,
    Script,
    Turn,
    hold,
    reply_text,
    response_of,
    tag_text,
)

WAIT_S = 10.0


def user(text: Any) -> dict[str, Any]:
    return {"role": "user", "content": text}


def request(*texts: Any) -> dict[str, Any]:
    return {"model": "cronsession", "messages": [user(t) for t in texts]}


def ask(script: Script, tag: str) -> Turn:
    return script.begin(request(tag_text("Go.", tag)))


def kinds(script: Script, tag: str, n: int) -> list[str]:
    return [ask(script, tag).answer.kind for _ in range(n)]


# --- tags and nonces --------------------------------------------------------------------------------------


def test_tags_are_unique_and_survive_a_text() -> None:
    script = Script("w1")
    tags = [script.new_tag() for _ in range(50)]
    assert len(set(tags)) == 50
    assert ask(script, tags[7]).tag == tags[7]
    assert script.begin(request(f"Go, please. {tag_text('Go.', tags[3])} Thanks!\n")).tag == tags[3]


def test_turns_are_kept_in_order_and_by_tag() -> None:
    script = Script()
    a, b, c = ask(script, "a"), ask(script, "b"), ask(script, "a")
    assert script.turns() == [a, b, c]
    assert script.turns("a") == [a, c]
    assert script.turns("nobody") == []
    assert [t.seq for t in script.turns()] == [1, 2, 3]
    assert len({t.nonce for t in script.turns()}) == 3


def test_nonces_of_two_scripts_differ() -> None:
    assert ask(Script("w1"), "a").nonce != ask(Script("w2"), "a").nonce


@pytest.mark.parametrize(
    "history",
    [
        lambda reply: reply,
        lambda reply: [{"type": "text", "text": reply}],
        lambda reply: [{"type": "text", "text": "first"}, {"type": "text", "text": f"then {reply}"}],
    ],
    ids=["text", "one-part", "several-parts"],
)
@pytest.mark.parametrize("role", ["assistant", "system", "user", "tool"])
def test_a_request_that_contains_a_reply_saw_the_turn(role: str, history: Any) -> None:
    script = Script()
    first, other = ask(script, "a"), ask(script, "b")
    messages = [
        user("earlier"),
        {"role": role, "content": history(reply_text(first))},
        user(tag_text("Go.", "a")),
    ]
    later = script.begin({"messages": messages})
    assert later.saw_turn(first)
    assert not later.saw_turn(other)
    assert later.saw == {first.nonce}


def test_a_nonce_is_not_found_in_a_longer_one() -> None:
    script = Script()
    turns = [ask(script, "a") for _ in range(12)]
    later = script.begin(request(reply_text(turns[10])))
    assert later.saw_turn(turns[10])
    assert not later.saw_turn(turns[0])


def test_a_turn_belongs_to_the_last_tag_that_a_user_wrote() -> None:
    script = Script()
    turn = script.begin(
        {
            "messages": [
                {"role": "system", "content": tag_text("You are", "system")},
                user(tag_text("One.", "old")),
                {"role": "assistant", "content": tag_text("quoting", "quoted")},
                user([{"type": "text", "text": tag_text("Two.", "new")}]),
            ]
        }
    )
    assert turn.tag == "new"
    assert turn.tags == ("old", "new")


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"messages": None},
        {"messages": []},
        {"messages": ["text", 7, None]},
        {"messages": [{"role": "user"}]},
        {"messages": [user(None)]},
        {"messages": [user([{"type": "image_url"}, "text", 7])]},
        {"messages": [user(7)]},
        {"messages": 7},
        {"messages": {"role": "user"}},
    ],
)
def test_odd_requests_are_turns_without_a_tag(body: dict[str, Any]) -> None:
    turn = Script().begin(body)
    assert (turn.tag, turn.tags, turn.saw, turn.answer) == (None, (), frozenset(), OK)


# --- plans --------------------------------------------------------------------------------------------------


def test_without_a_plan_every_turn_is_answered() -> None:
    assert kinds(Script(), "a", 3) == ["ok", "ok", "ok"]


def test_a_plan_is_followed_in_order_and_only_by_its_tag() -> None:
    script = Script()
    script.plan("a", ERROR, TRANSIENT)
    assert kinds(script, "b", 1) == ["ok"]
    assert kinds(script, "a", 3) == ["error", "transient", "ok"]


def test_what_comes_after_the_plan() -> None:
    script = Script()
    script.plan("a", OK, always=ERROR)
    assert kinds(script, "a", 3) == ["ok", "error", "error"]


def test_a_new_plan_replaces_the_old_one_wholly() -> None:
    script = Script()
    script.plan("a", ERROR, ERROR, always=ERROR)
    script.plan("a", TRANSIENT)
    assert kinds(script, "a", 3) == ["transient", "ok", "ok"]
    script.plan("a", always=ERROR)
    script.plan("a")
    assert kinds(script, "a", 2) == ["ok", "ok"]


def test_a_turn_without_a_tag_follows_no_plan() -> None:
    script = Script()
    script.plan("a", ERROR, always=ERROR)
    assert script.begin(request("Hello.")).answer == OK


# --- holding and releasing ----------------------------------------------------------------------------------


@pytest.mark.parametrize("answer", [hold(), hold(50), HANG])
def test_held_turns_are_counted(answer: Answer) -> None:
    script = Script()
    script.plan("a", answer)
    held = ask(script, "a")
    plain = ask(script, "b")
    assert (held.state, plain.state) == ("held", "open")
    assert (script.open_turns(), script.held_turns()) == (2, 1)
    script.finish(plain, "answered")
    assert (script.open_turns(), script.held_turns()) == (1, 1)
    script.release("a")
    assert (held.state, script.open_turns(), script.held_turns()) == ("open", 1, 0)
    assert held.released.done()


def test_a_turn_whose_client_is_gone_is_not_held() -> None:
    script = Script()
    script.plan("a", HANG)
    turn = ask(script, "a")
    turn.alive = lambda: False
    assert (turn.state, script.held_turns()) == ("held", 0)


def test_releases_are_those_planned_and_those_under_way() -> None:
    script = Script()
    script.plan("a", hold(300), hold(100), OK)
    script.plan("b", always=hold(200))
    script.plan("c", hold(), HANG)
    assert script.releases(0, 1000) == [100, 200, 300]
    assert script.releases(100, 300) == [200, 300]
    assert script.releases(99, 100) == [100]
    turn = ask(script, "a")  # takes the plan of 300 with it
    assert script.releases(200, 1000) == [300]
    script.release("a")
    assert script.releases(200, 1000) == []
    script.finish(turn, "answered")
    assert script.releases(0, 1000) == [100, 200]


def test_what_is_due_is_released() -> None:
    script = Script()
    script.plan("a", hold(100), hold(200), hold(), HANG)
    first, second, by_hand, never = (ask(script, "a") for _ in range(4))
    script.release_due(99)
    assert script.held_turns() == 4
    script.release_due(100)
    assert [t.state for t in (first, second, by_hand, never)] == ["open", "held", "held", "held"]
    script.release_due(10**15)
    assert [t.state for t in (second, by_hand, never)] == ["open", "held", "held"]
    script.release_all()
    assert script.held_turns() == 0
    script.release_all()


def test_releasing_spares_a_turn_that_was_given_up_meanwhile() -> None:
    # The run was cancelled: its loop has cancelled the future, and could not say "aborted" yet.
    script = Script()
    script.plan("a", HANG, HANG)
    given_up, waiting = ask(script, "a"), ask(script, "a")
    given_up.released.cancel()
    script.release("a")
    assert waiting.released.result(timeout=0) is None


def test_releases_from_many_threads() -> None:
    script = Script()
    script.plan("a", always=hold(10))
    turns = [ask(script, "a") for _ in range(200)]
    failures: list[BaseException] = []
    together = threading.Barrier(8)

    def let_go() -> None:
        try:
            together.wait(WAIT_S)
            script.release_due(10)
            script.release("a")
            script.release_all()
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=let_go) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(WAIT_S)
    assert failures == []
    assert all(t.released.done() and t.state == "open" for t in turns)


def test_turns_from_many_threads_get_numbers_of_their_own() -> None:
    script = Script()
    script.plan("a", *([ERROR] * 100))
    threads = [threading.Thread(target=kinds, args=(script, "a", 50)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(WAIT_S)
    turns = script.turns("a")
    assert [t.seq for t in turns] == list(range(1, 401))
    assert [t.answer for t in turns].count(ERROR) == 100


def test_waiting_for_a_turn_of_another_thread() -> None:
    script = Script()
    thread = threading.Thread(target=ask, args=(script, "a"))
    thread.start()
    assert script.wait_for(lambda: bool(script.turns("a")), WAIT_S)
    thread.join(WAIT_S)
    assert not script.wait_for(lambda: bool(script.turns("b")), 0)


# --- the callable -------------------------------------------------------------------------------------------


def test_the_callable_answers_like_openai() -> None:
    script = Script("w1")
    script.plan("a", Answer(text="Done."))
    script.now_ms = 5_000
    answer = asyncio.run(InProcessModel(script)(request(tag_text("Go.", "a"))))
    (turn,) = script.turns()
    assert answer == response_of(turn)
    assert answer["object"] == "chat.completion"
    assert answer["created"] == 5
    (choice,) = answer["choices"]
    assert choice["finish_reason"] == "stop"
    assert choice["message"] == {"role": "assistant", "content": f"Done. [[turn:{turn.nonce}]]"}
    assert (turn.state, script.open_turns()) == ("answered", 0)


@pytest.mark.parametrize(("answer", "status"), [(ERROR, 400), (TRANSIENT, 503)])
def test_the_callable_raises_scripted_failures(answer: Answer, status: int) -> None:
    script = Script()
    script.plan("a", answer)
    with pytest.raises(ModelError, match=f"model error {status}") as caught:
        asyncio.run(InProcessModel(script)(request(tag_text("Go.", "a"))))
    assert caught.value.status == status
    assert [t.state for t in script.turns()] == ["failed"]


def test_the_callable_waits_for_a_release_from_another_thread() -> None:
    script = Script()
    script.plan("a", hold(text="At last."))
    model = InProcessModel(script)

    def let_go() -> None:
        assert script.wait_for(lambda: model.held == 1, WAIT_S)
        script.release("a")

    thread = threading.Thread(target=let_go)
    thread.start()
    answer = asyncio.run(asyncio.wait_for(model(request(tag_text("Go.", "a"))), WAIT_S))
    thread.join(WAIT_S)
    assert answer["choices"][0]["message"]["content"].startswith("At last. ")
    assert (model.held, script.turns()[0].state) == (0, "answered")


@pytest.mark.parametrize("answer", [HANG, hold(50)])
def test_a_cancelled_call_is_an_aborted_turn(answer: Answer) -> None:
    script = Script()
    script.plan("a", answer)
    model = InProcessModel(script)

    async def cancelled() -> None:
        call = asyncio.create_task(model(request(tag_text("Go.", "a"))))
        while not model.held:
            await asyncio.sleep(0)
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call

    asyncio.run(cancelled())
    assert script.turns()[0].state == "aborted"
    assert (model.held, script.open_turns(), script.releases(0, 100)) == (0, 0, [])
    script.release_all()
    assert script.turns()[0].state == "aborted"
