"""Going through a recording again: the same steps in the same order, what is different this time beside each.

Ids are the gateway's own and differ from run to run: the ones of this run take the place of the recorded ones.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from .model import MESSAGE_TAG, Answer
from .outcomes import RefusedRequest, UnsupportedOperation
from .recording import Recording, SeenTurn, seen_turns
from .report.scrub import scrub_text
from .targets import Target
from .trace import Step, Trace, compact, instant
from .worlds import World

IDS = ("id", "jobId", "runId", "sessionId", "sessionKey", "key")
# As long as it takes for a text that contains it to be about it, and not to contain it by chance.
_LONG = 8


class Replay:
    """One pass. ``differences`` counts the steps and turns that went another way than recorded."""

    def __init__(self, recording: Recording, target: Target) -> None:
        self.recording = recording
        self.differences = 0
        self._known: dict[str, str] = {}
        self._world = World(
            target, recording.config, host_zone=recording.host_zone, start_ms=recording.start_ms
        )

    def lines(self) -> Iterator[str]:
        """Do the steps, telling each; at last the requests at the model. Raises ``TargetError``."""
        try:
            for step in self.recording.steps:
                yield from self._do(step)
            yield from self._turns()
        finally:
            self._world.close()

    def _do(self, step: Step) -> Iterator[str]:
        answer = self._perform(step)
        trace = Trace()
        if step.do == "call":
            trace.call(self._world.now, step.operation, self._renamed(step.params), answer)
        elif step.do == "together":
            calls = [(operation, self._renamed(params)) for operation, params in step.params["calls"]]
            trace.together(self._world.now, calls, answer["answers"])
        elif step.text:
            trace.note(self._world.now, step.text, step.do)
        self._learn(step.answer, answer)
        same = self._alike(step.answer) == self._alike(answer)
        yield from trace.script(quiet=same).splitlines()[1:] if trace.steps else ()
        if not same:
            self.differences += 1
            yield f"      recorded: {compact(step.answer)}"

    def _perform(self, step: Step) -> dict[str, Any]:
        world, params = self._world, step.params
        match step.do:
            case "call":
                return self._call(step)
            case "together":
                calls = [(operation, self._renamed(given)) for operation, given in params["calls"]]
                return {"answers": world.together(calls)}
            case "advance":
                world.advance(params["toMs"])
            case "settle":
                world.advance(world.now)
            case "jump":
                world.jump(params["toMs"])
            case "stop":
                world.stop()
            case "start":
                world.pass_time(params.get("toMs", world.now))
                world.config = params.get("config", world.config)
                world.start()
            case "join":
                world.join(alias=params["alias"])
            case "part":
                world.part()
            case "second":
                assert world.second is not None
                return world.second.call(params["operation"], self._renamed(params["params"]))
            case "send":
                world.send(params["operation"], self._renamed(params["params"]))
                tags = MESSAGE_TAG.findall(params["params"].get("text", ""))
                world.script.wait_for(lambda: all(world.script.turns(tag) for tag in tags), timeout=30)
            case "attempt":
                return self._attempt(step)
            case "crash":
                world.crash()
            case "reopen":
                world.pass_time(params["toMs"])
                world.reopen()
            case "plan":
                answers = [Answer(**a) for a in params["answers"]]
                world.script.plan(params["tag"], *answers, always=Answer(**params["always"]))
            case "release":
                tag = params.get("tag")
                world.script.release_all() if tag is None else world.script.release(tag)
        return {}

    def _call(self, step: Step) -> dict[str, Any]:
        params = self._renamed(step.params)
        try:
            if step.operation == "store/seed":  # on the folder of this run
                return self._world.seed(params["rows"])
            return self._world.call(step.operation, params)
        except UnsupportedOperation as error:
            return {"unsupported": error.message}

    def _attempt(self, step: Step) -> dict[str, Any]:
        try:
            return self._world.attempt(step.operation, self._renamed(step.params))
        except RefusedRequest as error:
            return {"refused": error.message}

    def _turns(self) -> Iterator[str]:
        """Each request at the model, and how the recorded one differed."""
        now = seen_turns(self._world.script.turns(), since_ms=self.recording.start_ms)
        then = self.recording.turns
        yield f"requests at the model: {len(now)}" + (
            f", recorded: {len(then)}" if len(now) != len(then) else ""
        )
        for number in range(max(len(now), len(then))):
            mine = now[number] if number < len(now) else None
            theirs = then[number] if number < len(then) else None
            yield f"  {number + 1:3}  {_turn_text(mine)}"
            if mine != theirs:
                self.differences += 1
                yield f"      recorded: {_turn_text(theirs)}"

    def _learn(self, then: Any, now: Any) -> None:
        """Which id of this run stands for which recorded one: those in the same place of the answers."""
        if isinstance(then, dict) and isinstance(now, dict):
            for name in then.keys() & now.keys():
                if name in IDS and isinstance(then[name], str) and isinstance(now[name], str):
                    self._known.setdefault(then[name], now[name])
                self._learn(then[name], now[name])
        elif isinstance(then, list) and isinstance(now, list) and len(then) == len(now):
            for one, other in zip(then, now, strict=True):
                self._learn(one, other)

    def _renamed(self, value: Any) -> Any:
        if isinstance(value, str):
            return self._known[value] if value in self._known else self._within(value)
        if isinstance(value, dict):
            return {name: self._renamed(inner) for name, inner in value.items()}
        if isinstance(value, list | tuple):
            return [self._renamed(inner) for inner in value]
        return value

    def _within(self, text: str) -> str:
        for then, now in self._known.items():
            if len(then) >= _LONG:
                text = text.replace(then, now)
        return text

    def _alike(self, value: Any) -> Any:
        """A value without what may differ: what ids are, and the order of rows that are sorted by them."""
        if isinstance(value, dict):
            kept = {n: self._alike(v) for n, v in value.items()}
            # The suite's own markers in the texts are counted, and may be a character longer.
            return {
                n: "<id>" if n in IDS and isinstance(v, str) else v for n, v in kept.items() if n != "bytes"
            }
        if isinstance(value, list | tuple):
            return sorted((self._alike(inner) for inner in value), key=repr)
        return scrub_text(self._within(value), {}) if isinstance(value, str) else value


def _turn_text(turn: SeenTurn | None) -> str:
    if turn is None:
        return "none"
    saw = f"saw the replies to {', '.join(map(str, turn.saw))}" if turn.saw else "saw no reply"
    return f"{instant(turn.at_ms)}  for {turn.tag or 'nobody'}, {turn.state}, {saw}"


def explain(recording: Recording) -> Iterator[str]:
    """What the recording is about."""
    yield f"{recording.requirement}  {recording.case}"
    for line in recording.message.splitlines():
        yield f"  {line}"
    yield f"recorded on {recording.target} by {recording.suite}"
    yield ""
