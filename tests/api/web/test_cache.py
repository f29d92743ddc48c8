"""What is remembered of PostgreSQL's answers, and for how long."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

import psycopg
import pytest

from api.web.cache import Memory
from api.web.problems import Unauthorized

T = TypeVar("T")
OLD = 0.0  # seconds that an answer is fresh for: none
silence = psycopg.OperationalError("PostgreSQL does not answer")


class Questions:
    """Answers what it was told to, counting; an error is raised."""

    def __init__(self, *answers: str | Exception) -> None:
        self.answers = list(answers)
        self.asked = 0

    async def __call__(self) -> str:
        self.asked += 1
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer


class SlowQuestions(Questions):
    """Answers that are under way for 0.4 s."""

    async def __call__(self) -> str:
        answer = await super().__call__()
        await asyncio.sleep(0.4)
        return answer


def run(work: Callable[[], Awaitable[T]]) -> T:
    async def bounded() -> T:
        async with asyncio.timeout(20):
            return await work()

    return asyncio.run(bounded())


def recall_all(
    memory: Memory[str, str], questions: Questions, times: int, *, outlast: bool = True
) -> list[str]:
    async def work() -> list[str]:
        answers = []
        for _ in range(times):
            answers.append(await memory.recall("key", questions, outlast=outlast))
            await asyncio.sleep(0.001)  # lets a question in the background end
        return answers

    return run(work)


def test_a_fresh_answer_is_not_asked_for_again() -> None:
    questions = Questions("yes")
    assert recall_all(Memory(10, 60, 3600), questions, 5) == ["yes"] * 5
    assert questions.asked == 1


def test_an_old_answer_is_asked_for_again() -> None:
    questions = Questions("yes", "no")
    assert recall_all(Memory(10, OLD, 3600), questions, 2) == ["yes", "no"]


def test_an_answer_outlasts_silence() -> None:
    questions = Questions("yes", silence, silence, silence, "no")
    assert recall_all(Memory(10, OLD, 3600), questions, 4) == ["yes"] * 4


def test_who_need_not_outlast_silence_is_told_of_it() -> None:
    with pytest.raises(psycopg.OperationalError):
        recall_all(Memory(10, OLD, 3600), Questions("yes", silence), 2, outlast=False)


def test_nothing_outlasts_silence_that_was_never_answered() -> None:
    with pytest.raises(psycopg.OperationalError):
        recall_all(Memory(10, OLD, 3600), Questions(silence), 1)


def test_an_answer_outlasts_silence_only_for_so_long() -> None:
    with pytest.raises(psycopg.OperationalError):
        recall_all(Memory(10, OLD, 0.0005), Questions("yes", silence), 2)


def test_a_refusal_is_raised_and_ends_what_was_remembered() -> None:
    questions = Questions("yes", Unauthorized("revoked"), silence)
    memory = Memory[str, str](10, OLD, 3600)
    assert recall_all(memory, questions, 1) == ["yes"]
    with pytest.raises(Unauthorized):
        recall_all(memory, questions, 1)
    with pytest.raises(psycopg.OperationalError):
        recall_all(memory, questions, 1)


def test_one_question_at_a_time_is_put_to_a_server_that_hangs(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("api.web.cache._PATIENCE", 0.01)
    memory, asked = Memory[int, str](100, OLD, 3600), list[None]()

    async def work() -> list[str]:
        hangs = asyncio.Event()

        async def ask() -> str:
            asked.append(None)
            await hangs.wait()
            raise silence

        for key in range(50):
            memory.note(key, "yes")
        answers = [await memory.recall(0, ask, outlast=True)]
        hangs.set()
        await asyncio.sleep(0.001)  # it has ended: silence is known of
        hangs.clear()
        answers += [await memory.recall(key, ask, outlast=True) for key in range(50)]
        hangs.set()
        return answers

    assert run(work) == ["yes"] * 51
    assert len(asked) == 2


def test_once_postgresql_is_back_every_old_answer_is_asked_for_again() -> None:
    memory = Memory[str, str](100, OLD, 3600)

    async def work() -> str:
        memory.note("other", "yes")
        await memory.recall("key", Questions("yes"), outlast=True)
        await memory.recall("key", Questions(silence), outlast=True)
        await memory.recall("key", Questions("yes"), outlast=True)
        await asyncio.sleep(0.001)
        return await memory.recall("other", Questions("no"), outlast=True)

    assert run(work) == "no"


def test_who_stops_waiting_for_an_answer_does_not_stop_others() -> None:
    memory = Memory[str, str](10, OLD, 3600)

    async def work() -> str:
        told = asyncio.Event()

        async def ask() -> str:
            await told.wait()
            return "yes"

        first, second = (
            asyncio.create_task(memory.recall("key", ask, outlast=False)) for _ in range(2)
        )
        await asyncio.sleep(0)
        first.cancel()
        await asyncio.sleep(0)
        told.set()
        return await second

    assert run(work) == "yes"


def test_the_oldest_is_forgotten_for_the_newest() -> None:
    memory = Memory[int, str](2, 60, 3600)

    async def work() -> list[str]:
        for key in range(3):
            memory.note(key, "noted")
        questions = Questions("asked")
        return [await memory.recall(key, questions, outlast=True) for key in (2, 1, 0)]

    assert run(work) == ["noted", "noted", "asked"]


def test_an_answer_that_took_longer_than_it_is_fresh_for_is_asked_for_again() -> None:
    """It was read when the question arrived there, for all we know."""
    memory, questions = Memory[str, str](1, 0.2, 60), SlowQuestions("old", "new")

    async def recall_twice() -> list[str]:
        return [await memory.recall("key", questions, outlast=False) for _ in range(2)]

    assert run(recall_twice) == ["old", "new"]
