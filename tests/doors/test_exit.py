"""The interpreter's exit closes what nobody closed: it neither hangs nor complains, and runs are handed over."""

from pathlib import Path

import pytest

from supercompat import SQLAlchemyStorageAdapter, supercompat
from supercompat.testing import ScriptedModel, ScriptedServer, text
from tests.doors.programs import run_program

#: A short drain, and a lease that no test outlives: it is released, or the run is lost.
OPTIONS = "options=Options(drain=0.3, lease=600)"

# No half-read stream of the SDK's is left when the interpreter exits: CPython 3.13.0 crashes then, whoever made it.

SYNCHRONOUS = f"""
client = supercompat(client=openai.KIND(**SETTINGS), storage=storage(), {OPTIONS})

def main():
    talk = conversation(client)
    print(talk["thread_id"])
    stream = client.beta.threads.runs.create(**talk, stream=True)
    for event in stream:
        if event.event == "UNTIL":
            break
    THEN

main()
"""

ASYNCHRONOUS = f"""
client = async_supercompat(client=openai.KIND(**SETTINGS), storage=storage(), {OPTIONS})

async def main():
    talk = await async_conversation(client)
    print(talk["thread_id"])
    stream = await client.beta.threads.runs.create(**talk, stream=True)
    async for event in stream:
        if event.event == "UNTIL":
            break
    THEN
"""

LOOPS = {
    "run": "asyncio.run(main())",
    # From Python 3.13 on the loop complains of the generators of the SDK's that it did not get to close.
    "left idle": """
warnings.filterwarnings("ignore", "coroutine method 'aclose' of .* was never awaited")
loop = asyncio.new_event_loop()
loop.run_until_complete(main())
""",
    "in a thread": """
loop = asyncio.new_event_loop()
threading.Thread(target=loop.run_forever, daemon=True).start()
asyncio.run_coroutine_threadsafe(main(), loop).result()
""",
}

#: Of the provider's client.
KINDS = ["OpenAI", pytest.param("AsyncOpenAI", marks=pytest.mark.slow)]

DELTA, CREATED = "thread.message.delta", "thread.run.created"


def filled_in(program: str, kind: str, until: str, then: str = "pass") -> str:
    return program.replace("KIND", kind).replace("UNTIL", until).replace("THEN", then)


def what_became_of(thread_id: str, database: Path) -> str:
    """The status of the thread's run, once the next client has looked after it."""
    storage = SQLAlchemyStorageAdapter(f"sqlite:///{database}")
    with supercompat(client=ScriptedModel(), storage=storage) as client:
        (run,) = client.beta.threads.runs.list(thread_id).data
        return client.beta.threads.runs.poll(run.id, thread_id=thread_id).status


@pytest.fixture
def database(tmp_path: Path) -> Path:
    return tmp_path / "assistants.db"


@pytest.mark.parametrize(
    ("then", "last"),
    [("pass", ""), ("sys.exit(3)", ""), pytest.param("pass", "del client", marks=pytest.mark.slow)],
)
@pytest.mark.parametrize("kind", KINDS)
def test_in_mid_run(provider: ScriptedServer, database: Path, kind: str, then: str, last: str) -> None:
    """The provider hangs."""
    provider.reply(text("Hel").then_hang())
    program = filled_in(SYNCHRONOUS, kind, DELTA, then) + last
    ended = run_program(program, provider=provider.base_url, database=database)
    assert (ended.code, ended.complained) == (3 if "exit" in then else 0, "")
    assert provider.requests[0].closed.wait(5)
    assert what_became_of(ended.said[0], database) == "failed"


@pytest.mark.parametrize(
    ("loop", "then"),
    [
        ("run", "pass"),
        pytest.param("run", "sys.exit(3)", marks=pytest.mark.slow),
        pytest.param("left idle", "pass", marks=pytest.mark.slow),
        pytest.param("left idle", "sys.exit(3)", marks=pytest.mark.slow),
        pytest.param("in a thread", "pass", marks=pytest.mark.slow),
    ],
)
@pytest.mark.parametrize("kind", KINDS)
def test_in_mid_run_on_a_loop(
    provider: ScriptedServer, database: Path, kind: str, loop: str, then: str
) -> None:
    provider.reply(text("Hel").then_hang())
    program = filled_in(ASYNCHRONOUS, kind, DELTA, then) + LOOPS[loop]
    ended = run_program(program, provider=provider.base_url, database=database)
    assert (ended.code, ended.complained) == (3 if "exit" in then else 0, "")
    assert provider.requests[0].closed.wait(5)
    assert what_became_of(ended.said[0], database) == "failed"


@pytest.mark.parametrize("kind", KINDS)
def test_right_after_a_run_was_created(provider: ScriptedServer, database: Path, kind: str) -> None:
    """The interpreter starts no more threads then. The run is completed before it exits, or by the next client."""
    program = filled_in(SYNCHRONOUS, kind, CREATED)
    ended = run_program(program, provider=provider.base_url, database=database)
    assert (ended.code, ended.complained) == (0, "")
    assert what_became_of(ended.said[0], database) == "completed"


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_while_it_exits(provider: ScriptedServer, database: Path, kind: str) -> None:
    """A run that is created by an `atexit` function. From Python 3.12 on, no thread starts any more."""
    program = filled_in(SYNCHRONOUS, kind, CREATED) + "atexit.register(main)"
    ended = run_program(program, provider=provider.base_url, database=database)
    assert (ended.code, ended.complained) == (0, "")
    assert [what_became_of(thread_id, database) for thread_id in ended.said] == ["completed"] * 2


def test_it_waits_for_a_run_that_is_about_to_end(provider: ScriptedServer, database: Path) -> None:
    """The provider speaks for a second longer than the program."""
    provider.reply(text(*["word "] * 20).paced(first=0.05, interval=0.05))
    program = filled_in(SYNCHRONOUS, "OpenAI", DELTA).replace("drain=0.3", "drain=15")
    ended = run_program(program, provider=provider.base_url, database=database)
    assert (ended.code, ended.complained) == (0, "")
    assert provider.requests[0].finished.wait(5)
    assert what_became_of(ended.said[0], database) == "completed"
    assert len(provider.requests) == 1


@pytest.mark.parametrize("make", ["supercompat", pytest.param("async_supercompat", marks=pytest.mark.slow)])
def test_without_a_request(provider: ScriptedServer, database: Path, make: str) -> None:
    program = f"client = {make}(client=openai.OpenAI(**SETTINGS), storage=storage())"
    ended = run_program(program, provider=provider.base_url, database=database)
    assert (ended.code, ended.complained) == (0, "")
    assert not database.exists()


@pytest.mark.slow
def test_a_traceback_of_the_users_is_all_that_is_seen(provider: ScriptedServer, database: Path) -> None:
    provider.reply(text("Hel").then_hang())
    program = filled_in(SYNCHRONOUS, "OpenAI", DELTA, "del stream; raise LookupError('Oh!')")
    ended = run_program(program, provider=provider.base_url, database=database)
    assert ended.code == 1
    assert ended.complained.count("Traceback") == 1
    assert ended.complained.rstrip().endswith("LookupError: Oh!")
    assert what_became_of(ended.said[0], database) == "failed"
