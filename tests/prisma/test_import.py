"""`supercompat import --from-prisma`: the API over the copy shows what it shows over the tables that were copied."""

import asyncio
from pathlib import Path
from typing import Any

import pytest
from openai import OpenAI

from supercompat import (
    PrismaStorageAdapter,
    SQLAlchemyStorageAdapter,
)
from supercompat.server.cli import main
from supercompat.storage_adapters.protocol import PageQuery, StorageAdapter, Transaction
from supercompat.testing import ScriptedServer, call, text, tool_calls
from tests.contract.conversations import MODEL, WEATHER, outputs
from tests.prisma.databases import make_tables
from tests.prisma.importing import Ended, Import, OpenCopy, conversed, has, shown, thread_shown
from tests.prisma.node import Node, node
from tests.prisma.node import text as node_text
from tests.prisma.test_together import asked_of, begun

#: Each row with the transaction that wrote it last.
EVERYTHING = """
SELECT to_jsonb(a) AS row, a.xmin::text FROM "Assistant" AS a UNION ALL
SELECT to_jsonb(t), t.xmin::text FROM "Thread" AS t UNION ALL
SELECT to_jsonb(m), m.xmin::text FROM "Message" AS m UNION ALL
SELECT to_jsonb(r), r.xmin::text FROM "Run" AS r UNION ALL
SELECT to_jsonb(s), s.xmin::text FROM "RunStep" AS s
"""


def test_the_copy_is_the_same(
    client: OpenAI, app: Node, provider: ScriptedServer, bring: Import, open_copy: OpenCopy
) -> None:
    of_node, thread_of_node = begun(app)
    app.tick *= 0
    tied = app.thread(of_node)
    for number in range(5):
        app.message(tied, f"At one moment: {number}")
    ours, thread_of_ours = conversed(client, provider)
    threads = thread_of_node, tied, thread_of_ours, app.thread(of_node)
    before = shown(client, *threads)

    ended = bring()
    assert ended == Ended(0, ended.out, "")
    assert ended.out == "imported: assistants 2, threads 4, messages 13, runs 3, steps 6\n"
    copy = open_copy()
    assert shown(copy, *threads) == before == shown(client, *threads)

    for assistant, thread in ((of_node, thread_of_node), (ours, thread_of_ours)):
        for each in (client, copy):
            each.beta.threads.messages.create(thread, role="user", content="And now?")
            provider.reply(text("Now is now."))
            each.beta.threads.runs.create_and_poll(
                thread_id=thread, assistant_id=assistant, model=MODEL, tool_choice="auto"
            )
        assert provider.requests[-1].body == provider.requests[-2].body
    assert len(asked_of(provider)) == 9


def test_calls_where_the_clock_of_node_is_ahead(
    client: OpenAI, app: Node, provider: ScriptedServer, bring: Import, open_copy: OpenCopy
) -> None:
    """A step comes with an earlier moment than the message that it follows."""
    assistant = app.assistant()
    thread = app.thread(assistant)
    app.now = app.now.replace(year=2037)
    app.message(thread, "How warm is it?")
    provider.reply(tool_calls(call("get_weather", "{}", id="call_1")), text("It is 18 °C."))
    given: dict[str, Any] = {"thread_id": thread, "assistant_id": assistant, "model": MODEL}
    run = client.beta.threads.runs.create_and_poll(**given, tools=[WEATHER])
    client.beta.threads.runs.submit_tool_outputs_and_poll(
        run_id=run.id, thread_id=thread, tool_outputs=outputs({"call_1": "18 °C"})
    )
    assert bring().code == 0
    copy = open_copy()
    copy.beta.threads.messages.create(thread, role="user", content="And now?")
    provider.reply(text("Now is now."))
    copy.beta.threads.runs.create_and_poll(**given)
    roles = [role for role, _ in asked_of(provider)]
    assert roles == ["user", "assistant", "tool", "assistant", "user"]


def test_a_source_without_side_tables(
    flavour: str, empty_postgres_url: str, bring: Import, open_copy: OpenCopy
) -> None:
    """Which no Python has ever used: nothing is made in it, and nothing changed."""
    make_tables(empty_postgres_url, flavour)
    with node(empty_postgres_url) as app:
        _, thread = begun(app)
        before = app.rows(EVERYTHING)
        assert len(before) == 7
        assert bring(source=empty_postgres_url).code == 0
        assert app.rows(EVERYTHING) == before
        schemas = app.rows("SELECT schema_name AS name FROM information_schema.schemata")
    assert "supercompat" not in {row["name"] for row in schemas}
    copy = open_copy()
    roles = [message.role for message in copy.beta.threads.messages.list(thread, order="asc")]
    assert roles == ["user", "assistant", "assistant"]


def test_again(
    client: OpenAI, app: Node, provider: ScriptedServer, bring: Import, open_copy: OpenCopy
) -> None:
    """What is there stays as it is, whichever side has changed; what is new comes."""
    assistant, thread = begun(app)
    _, other = conversed(client, provider)
    assert bring().code == 0
    ended = bring()
    nothing = "imported: assistants 0, threads 0, messages 0, runs 0, steps 0\n"
    assert ended == Ended(0, nothing + "there already: assistants 2, threads 2\n", "")

    copied = thread_shown(open_copy(), thread)
    app.message(thread, "Said later.")
    open_copy().beta.threads.update(other, metadata={"moved": "on"})
    new = app.thread(assistant)
    open_copy().beta.assistants.update(assistant, name="Another")
    ended = bring()
    assert ended.code == 1
    assert ended.out.startswith("imported: assistants 0, threads 1,")
    assert "not as at the source: assistants 1, threads 2\n" in ended.out
    assert f"assistant {assistant} is not as it is at the source; left as it is\n" in ended.err
    for id in (thread, other):
        assert f"thread {id} is not as it is at the source; left as it is\n" in ended.err
    assert thread_shown(open_copy(), thread) == copied
    assert open_copy().beta.threads.retrieve(other).metadata == {"moved": "on"}
    assert has(open_copy(), new)


def test_a_step_that_has_changed(app: Node, bring: Import) -> None:
    assistant, thread = begun(app)
    run = app.run(thread, assistant, "COMPLETED")
    function = {"name": "f", "arguments": "{}", "output": "1"}
    call: dict[str, Any] = {"id": "call_1", "type": "function", "function": function}
    step = app.step(thread, assistant, run, [call])
    assert bring().code == 0
    assert bring().code == 0
    call["function"]["output"] = "2"
    app.set("RunStep", step, "stepDetails", {"type": "tool_calls", "tool_calls": [call]})
    ended = bring()
    assert ended.code == 1
    assert f"thread {thread} is not as it is at the source; left as it is\n" in ended.err


def test_a_row_that_cannot_be_read(app: Node, bring: Import, open_copy: OpenCopy) -> None:
    """Nothing of its thread comes, and everything else does."""
    assistant, broken = begun(app)
    _, whole = begun(app)
    tool = {"type": "function", "function": {"name": ["secretly", "many"]}}
    run = app.run(broken, assistant, "COMPLETED", tools=[tool])
    ended = bring()
    assert ended.code == 1
    assert f"left out: thread {broken}: Run {run}: tools.0." in ended.err
    assert "secretly" not in ended.err
    assert "imported: assistants 2, threads 1, messages 3," in ended.out
    copy = open_copy()
    assert has(copy, whole)
    assert not has(copy, broken)
    app.set("Run", run, "tools", "{}")
    assert bring().code == 0


def test_an_assistant_that_cannot_be_read(
    client: OpenAI, app: Node, bring: Import, open_copy: OpenCopy
) -> None:
    assistant, thread = begun(app)
    bad = client.beta.assistants.create(model=MODEL).id
    side = "UPDATE supercompat.prisma_assistants SET object = %(object)s WHERE id = %(id)s RETURNING id"
    app.rows(side, object='{"tools": 7}', id=bad)
    ended = bring()
    assert (ended.code, f"left out: Assistant {bad}: tools: " in ended.err) == (1, True)
    assert [each.id for each in open_copy().beta.assistants.list()] == [assistant]
    assert has(open_copy(), thread)


def test_a_part_that_the_api_cannot_show(
    client: OpenAI, app: Node, bring: Import, open_copy: OpenCopy
) -> None:
    _, thread = begun(app)
    picture = {"type": "image_file", "image_file": {"file_id": "file-secret"}}
    message = app.message(thread, [*node_text("Look."), picture])
    ended = bring()
    assert ended.code == 0
    assert ended.err == (
        f"supercompat import: Message {message}: A message has a part that can't be shown, of the type 'image_file'.\n"
    )
    assert thread_shown(open_copy(), thread) == thread_shown(client, thread)


@pytest.mark.parametrize("flavour", ["uuid"])
def test_what_the_api_does_not_show(
    url: str, client: OpenAI, app: Node, provider: ScriptedServer, bring: Import, target: str
) -> None:
    """The settings that were really made, what was billed, where calls stand. Of what was sent only notes by place are
    lost."""
    _, thread = conversed(client, provider)
    assert bring().code == 0
    there, here = (
        asyncio.run(private(each, thread))
        for each in (PrismaStorageAdapter(url), SQLAlchemyStorageAdapter(target))
    )
    assert [each.pop("sent") is None for each in there.values() if "sent" in each] == [False, False]
    assert there == here
    assert {"after", "usage", "sampling"} <= {name for each in here.values() for name in each}


async def private(storage: StorageAdapter, thread: str) -> dict[str, dict[str, Any]]:
    """By id."""

    def read(tx: Transaction) -> dict[str, dict[str, Any]]:
        of_thread = PageQuery({"thread_id": thread}, limit=None)
        rows = [row for each in (tx.messages, tx.runs, tx.steps) for row in each.page(of_thread).rows]
        assistants = tx.assistants.page(PageQuery()).rows
        return {row.object.id: dict(row.private) for row in (*rows, *assistants)}

    store = storage.open()
    try:
        return await store.transact(read)
    finally:
        await store.aclose()


def test_another_project(app: Node, bring: Import, target: str, open_copy: OpenCopy) -> None:
    _, thread = begun(app)
    assert bring("--project", "other").code == 0
    assert list(open_copy().beta.assistants.list()) == []

    async def found() -> bool:
        store = SQLAlchemyStorageAdapter(target).open(project="other")
        try:
            return await store.transact(lambda tx: tx.threads.get(thread) is not None)
        finally:
            await store.aclose()

    assert asyncio.run(found())


def test_another_schema_of_the_same_database(
    url: str, app: Node, client: OpenAI, provider: ScriptedServer, capsys: pytest.CaptureFixture[str],
    open_copy: OpenCopy,
) -> None:  # fmt: skip
    _, thread = begun(app)
    _, ours = conversed(client, provider)
    asyncio.run(SQLAlchemyStorageAdapter(url, schema="own").upgrade())
    command = ["import", "--from-prisma", url, "--database", url]
    assert main(command) == 1
    assert "Name another schema" in capsys.readouterr().err
    assert main([*command, "--schema", "own"]) == 0
    copy = open_copy(url=url, schema="own")
    assert shown(copy, thread, ours) == shown(client, thread, ours)


def test_the_source_by_prismas_variable(
    url: str, app: Node, target: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    begun(app)
    monkeypatch.setenv("DATABASE_URL", f"{url}?schema=public&connection_limit=3")
    monkeypatch.setenv("SUPERCOMPAT_DATABASE_URL", target)
    assert main(["import", "--from-prisma"]) == 0
    assert "threads 1" in capsys.readouterr().out
    monkeypatch.delenv("DATABASE_URL")
    assert main(["import", "--from-prisma"]) == 1
    assert "--from-prisma URL" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("source", "target", "said"),
    [
        (
            "postgresql://u:hidden@127.0.0.1:1/db",
            "sqlite:///copy.db",
            "PostgreSQL database db at 127.0.0.1:1",
        ),
        ("postgresql+asyncpg://u:hidden@127.0.0.1/db", "sqlite:///copy.db", "psycopg"),
        ("mysql://u:hidden@127.0.0.1/db", "sqlite:///copy.db", "Prisma's tables are read from"),
        ("postgresql://u:hidden@127.0.0.1:x/db", "sqlite:///copy.db", "The URL can't be read"),
        ("postgresql://u:hidden@127.0.0.1/db", "sqlite://", "in memory"),
        ("postgresql://u:hidden@127.0.0.1/db", "mysql://u:hidden@127.0.0.1/db", "not served"),
        ("postgresql://u:hidden@localhost/db", "postgresql+asyncpg://v:hidden@127.0.0.1:5432/db", "schema"),
    ],
)
def test_what_cannot_be(
    source: str,
    target: str,
    said: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["import", "--from-prisma", source, "--database", target]) == 1
    out, err = capsys.readouterr()
    assert (out, said in err, "hidden" in err, err.count("\n")) == ("", True, False, 1)


def test_a_source_without_prismas_tables(bring: Import, empty_postgres_url: str) -> None:
    ended = bring(source=empty_postgres_url)
    assert ended.code == 1
    assert 'lacks tables or columns of the Prisma schema that supercompat documents: "Assistant"' in ended.err


def test_a_target_without_tables(
    url: str, app: Node, empty_postgres_url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    begun(app)
    assert main(["import", "--from-prisma", url, "--database", empty_postgres_url]) == 1
    assert "supercompat db upgrade" in capsys.readouterr().err
