"""A client does not survive a fork: the child is told so. One that was not used before works on both sides."""

from pathlib import Path

import pytest

from supercompat.testing import ScriptedServer
from tests.doors.programs import run_program

#: Runs `work` in a forked child, and says how that ended.
FORK = """
def in_a_child(work):
    child = os.fork()
    if not child:
        try:
            work()
        except BaseException as error:
            print("child:", type(error).__name__, error, flush=True)
        sys.exit()
    _, status = os.waitpid(child, 0)
    print("exit code:", os.waitstatus_to_exitcode(status), flush=True)

def run_once(client):
    talk = conversation(client)
    print("run:", client.beta.threads.runs.create_and_poll(**talk).status, flush=True)

async def async_run_once(client):
    talk = await async_conversation(client)
    print("run:", (await client.beta.threads.runs.create_and_poll(**talk)).status, flush=True)

kept = storage()
"""

SYNCHRONOUS = """
client = supercompat(client=openai.OpenAI(**SETTINGS), storage=kept)
use = lambda: run_once(client)
"""

ASYNCHRONOUS = """
client = async_supercompat(client=openai.OpenAI(**SETTINGS), storage=kept)
use = lambda: asyncio.run(async_run_once(client))
"""

DOORS = pytest.mark.parametrize(
    "door",
    [pytest.param(SYNCHRONOUS, id="sync"), pytest.param(ASYNCHRONOUS, id="async", marks=pytest.mark.slow)],
)


def said_by(program: str, provider: ScriptedServer, tmp_path: Path) -> list[str]:
    ended = run_program(FORK + program, provider=provider.base_url, database=tmp_path / "assistants.db")
    assert ended.code == 0, ended.complained
    # Python 3.12 warns of threads where a process forks; the program hears no warnings.
    assert not ended.complained
    return ended.said


@DOORS
def test_used_before(provider: ScriptedServer, tmp_path: Path, door: str) -> None:
    """Also at the child's exit nothing hangs, and the parent goes on."""
    refused, code, *rest = said_by(door + "use(); in_a_child(use); use()", provider, tmp_path)[1:]
    assert refused.startswith("child: InternalServerError")
    assert "This client was used before the process forked. Make a new client in the child" in refused
    assert (code, rest) == ("exit code: 0", ["run: completed"])


@pytest.mark.slow
@DOORS
def test_used_only_after(provider: ScriptedServer, tmp_path: Path, door: str) -> None:
    said = said_by(door + "in_a_child(use); use()", provider, tmp_path)
    assert said == ["run: completed", "exit code: 0", "run: completed"]


@pytest.mark.slow
def test_closed_before(provider: ScriptedServer, tmp_path: Path) -> None:
    """What it was made from can be used again, on both sides."""
    again = "client = supercompat(client=openai.OpenAI(**SETTINGS), storage=kept)\n"
    said = said_by(f"{SYNCHRONOUS}use(); client.close()\n{again}in_a_child(use); use()", provider, tmp_path)
    assert said == ["run: completed", "run: completed", "exit code: 0", "run: completed"]


def test_a_new_client_on_a_storage_that_is_in_use(provider: ScriptedServer, tmp_path: Path) -> None:
    program = """
use()
def anew():
    run_once(supercompat(client=openai.OpenAI(**SETTINGS), storage=kept))
in_a_child(anew)
def all_anew():
    run_once(supercompat(client=openai.OpenAI(**SETTINGS), storage=storage()))
in_a_child(all_anew)
"""
    said = said_by(SYNCHRONOUS + program, provider, tmp_path)
    assert "This storage was used before the process forked. Make a new storage adapter" in said[1]
    assert said[2:] == ["exit code: 0", "run: completed", "exit code: 0"]


@pytest.mark.slow
def test_closed_in_the_child(provider: ScriptedServer, tmp_path: Path) -> None:
    """That is the parent's to do, and does not hang here."""
    program = "use(); in_a_child(client.close); use(); client.close()"
    assert said_by(SYNCHRONOUS + program, provider, tmp_path) == [
        "run: completed",
        "exit code: 0",
        "run: completed",
    ]
