"""Which adapter a client gets, and what is said to anything else."""

import subprocess
import sys
from typing import Any

import groq
import openai
import pytest
from google import genai

from supercompat.client_adapters.google import GoogleClientAdapter
from supercompat.client_adapters.groq import GroqClientAdapter
from supercompat.client_adapters.openai import OpenAIClientAdapter
from supercompat.client_adapters.registry import adapter_for
from supercompat.errors import ConfigurationError, UnknownClientError


class Derived(openai.OpenAI):
    """A user's own kind of client."""


@pytest.mark.parametrize(
    ("make", "adapter"),
    [
        (openai.OpenAI, OpenAIClientAdapter),
        (openai.AsyncOpenAI, OpenAIClientAdapter),
        (Derived, OpenAIClientAdapter),
        (genai.Client, GoogleClientAdapter),
        (groq.Groq, GroqClientAdapter),
        (groq.AsyncGroq, GroqClientAdapter),
    ],
)
def test_sdk_clients(make: Any, adapter: type):
    assert type(adapter_for(make(api_key="test"))) is adapter


def test_an_adapter_is_what_it_is():
    adapter = OpenAIClientAdapter(openai.OpenAI(api_key="test"))
    assert adapter_for(adapter) is adapter


class OpenAI:
    """A name alone is nothing."""


@pytest.mark.parametrize("client", [None, "gpt-4o", object(), OpenAI(), {}])
def test_anything_else_is_refused_with_what_is_taken(client: object):
    with pytest.raises(UnknownClientError, match=r"openai\.OpenAI, openai\.AsyncOpenAI") as caught:
        adapter_for(client)
    assert "groq.Groq" in str(caught.value)
    assert "google.genai.Client" in str(caught.value)
    assert type(client).__qualname__ in str(caught.value)


@pytest.mark.parametrize("client", [OpenAIClientAdapter, openai.OpenAI])
def test_a_class_is_refused(client: object):
    with pytest.raises(UnknownClientError, match="give it an instance"):
        adapter_for(client)


@pytest.mark.parametrize("make", [OpenAIClientAdapter, GroqClientAdapter])
def test_an_adapter_refuses_what_it_can_t_wrap(make: Any):
    with pytest.raises(UnknownClientError, match=r"builtins\.object is no SDK client"):
        make(object())


@pytest.mark.parametrize("option", [{"forced_tool_choice": "yes"}, {"max_tokens_field": "limit"}])
def test_options_that_do_not_exist(option: dict[str, Any]):
    with pytest.raises(ConfigurationError, match=next(iter(option))):
        OpenAIClientAdapter(openai.OpenAI(api_key="test"), **option)


def test_no_sdk_is_imported():
    script = (
        "import sys, supercompat.client_adapters.registry, supercompat.client_adapters.router\n"
        "never = {'anthropic', 'openai', 'google.genai', 'groq', 'mistralai', 'httpcore', 'httpcore2'}\n"
        "print(sorted((never | {'httpx', 'httpx2', 'sqlalchemy'}) & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
