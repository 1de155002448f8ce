"""What the API does and Prisma's tables can't keep: what holds there instead of the tests that the contract leaves out.

All of it is about ids: those of the database have no prefix.
"""

import asyncio
from collections.abc import Callable
from functools import partial
from typing import Any
from uuid import UUID

import openai
import pytest
from openai import OpenAI

from supercompat import SQLAlchemyStorageAdapter
from supercompat.testing import ScriptedServer, text
from tests.contract import (
    test_assistants,
    test_lists,
    test_messages,
    test_threads,
    test_transport,
)
from tests.contract.conftest import NOT_WITH_PRISMA
from tests.prisma.conftest import MakeClient
from tests.prisma.node import Node

MODEL = "gpt-4o-mini"


def test_the_tests_that_are_left_out_are_there() -> None:
    modules = (test_assistants, test_lists, test_messages, test_threads, test_transport)
    assert all(any(hasattr(module, name) for module in modules) for name in NOT_WITH_PRISMA)


def test_ids_are_those_of_the_database(client: OpenAI, app: Node, provider: ScriptedServer) -> None:
    assistant = client.beta.assistants.create(model=MODEL)
    thread = client.beta.threads.create()
    message = client.beta.threads.messages.create(thread.id, role="user", content="Hello")
    provider.reply(text("Hi."))
    run = client.beta.threads.runs.create_and_poll(thread_id=thread.id, assistant_id=assistant.id)
    [step] = client.beta.threads.runs.steps.list(run.id, thread_id=thread.id).data
    for each in (assistant, thread, message, run, step):
        assert str(UUID(each.id)) == each.id
    assert app.rows('SELECT id::text FROM "RunStep"') == [{"id": step.id}]


@pytest.mark.parametrize("id", ["thread_0", "run_0", "no id", "6e1c5b62-1f5c-4d53-8a3a-1f1a7c3f0d11", "é\0"])
def test_an_id_that_names_nothing_is_not_found(client: OpenAI, id: str) -> None:
    """Whatever it looks like: Node's could be anything."""
    beta = client.beta
    thread = beta.threads.create()
    wanted: list[Callable[[], Any]] = [
        partial(beta.assistants.retrieve, id),
        partial(beta.threads.retrieve, id),
        partial(beta.threads.messages.retrieve, id, thread_id=thread.id),
        partial(beta.threads.runs.retrieve, id, thread_id=thread.id),
        partial(beta.threads.messages.list, thread.id, after=id),
    ]
    for want in wanted:
        with pytest.raises(openai.NotFoundError):
            want()


def test_our_own_tables_may_be_in_the_same_database(url: str, make_client: MakeClient) -> None:
    """In the same schema, too."""
    asyncio.run(SQLAlchemyStorageAdapter(url, schema="supercompat").upgrade())
    thread = make_client().beta.threads.create(metadata={"k": "v"})
    assert make_client().beta.threads.retrieve(thread.id).metadata == {"k": "v"}
