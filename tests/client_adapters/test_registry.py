"""Which adapter a client gets, and what is said to anything else."""

import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import anthropic
import groq
import openai
import pytest
from google import genai
from mistralai.client import Mistral

import supercompat
from supercompat.client_adapters.anthropic import AnthropicClientAdapter
from supercompat.client_adapters.google import GoogleClientAdapter
from supercompat.client_adapters.groq import GroqClientAdapter
from supercompat.client_adapters.mistral import MistralClientAdapter
from supercompat.client_adapters.openai import AzureOpenAIClientAdapter, OpenAIClientAdapter
from supercompat.client_adapters.registry import REGISTRY, Row, adapter_for
from supercompat.errors import ConfigurationError, UnknownClientError
from tests.client_adapters.dialects import DIALECTS

ROOT = Path(__file__).parents[2]
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())


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
        (anthropic.Anthropic, AnthropicClientAdapter),
        (anthropic.AsyncAnthropic, AnthropicClientAdapter),
        (Mistral, MistralClientAdapter),
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
    for row in REGISTRY:
        assert all(f"{row.package}.{name}" in str(caught.value) for name in row.names)
    assert type(client).__qualname__ in str(caught.value)


def test_the_extra_that_brings_an_sdk_is_said():
    """Whoever has none of the SDKs learns it here: nothing else of ours would miss them."""
    project = PYPROJECT["project"]
    extras = project["optional-dependencies"]
    with pytest.raises(UnknownClientError) as caught:
        adapter_for(object())
    for row in REGISTRY:
        if row.extra is None:
            assert any(needed.startswith(row.package) for needed in project["dependencies"])
        else:
            assert extras[row.extra][0].startswith(row.package.replace(".", "-"))
            assert f"pip install 'supercompat[{row.extra}]'" in str(caught.value)


@pytest.mark.parametrize("row", REGISTRY, ids=lambda row: row.adapter)
def test_a_provider_is_known_wherever_it_is_looked_for(row: Row):
    module, _, adapter = row.adapter.partition(":")
    contracts = {contract["id"]: contract for contract in PYPROJECT["tool"]["importlinter"]["contracts"]}
    assert adapter in supercompat.__all__
    assert f"supercompat.client_adapters.{module}" in contracts["providers"]["modules"]
    assert row.package.partition(".")[0] in contracts["sdks"]["forbidden_modules"]
    assert any(dialect.adapter.__name__ == adapter for dialect in DIALECTS.values())
    installed = f"supercompat[{row.extra}]" if row.extra else "supercompat"
    assert re.search(rf"\| `{adapter}` \| `{re.escape(installed)}` \|", (ROOT / "README.md").read_text())
    assert f"`{adapter}`" in (ROOT / "docs" / "client-adapters.md").read_text()


def test_providers_with_a_page_have_the_same_page():
    pages = [(ROOT / "docs" / f"{name}.md").read_text() for name in ("anthropic", "google", "mistral")]
    for page in pages:
        assert re.findall("^## (.+)$", page, re.MULTILINE) == [
            "Native",
            "Emulated",
            "Ignored",
            "Refused",
            "Thinking",
            "Failures",
            "Tests",
        ]
        assert re.search(r"^# \w+\n\n```\npip install 'supercompat\[\w+\]'\n```\n\n```python\n", page)


@pytest.mark.parametrize("client", [OpenAIClientAdapter, openai.OpenAI])
def test_a_class_is_refused(client: object):
    with pytest.raises(UnknownClientError, match="give it an instance"):
        adapter_for(client)


@pytest.mark.parametrize(
    ("adapter", "client", "said"),
    [
        (OpenAIClientAdapter, object(), r"takes an openai\.OpenAI or AsyncOpenAI, not builtins\.object"),
        (OpenAIClientAdapter, openai.OpenAI, r"takes an openai\.OpenAI .* not the class OpenAI"),
        (OpenAIClientAdapter, anthropic.Anthropic(api_key="test"), r"not anthropic\.Anthropic"),
        (GroqClientAdapter, anthropic.AsyncAnthropic(api_key="test"), r"takes a groq\.Groq or AsyncGroq"),
        (AzureOpenAIClientAdapter, openai.OpenAI(api_key="test"), r"takes an openai\.AzureOpenAI"),
        (
            AnthropicClientAdapter,
            openai.OpenAI(api_key="test"),
            r"takes an anthropic\.Anthropic .*, not openai",
        ),
        (AnthropicClientAdapter, groq.Groq(api_key="test"), r"not groq\.Groq"),
        (MistralClientAdapter, openai.OpenAI(api_key="test"), r"takes a mistralai\.client\.Mistral"),
        (GoogleClientAdapter, openai.OpenAI(api_key="test"), r"takes a google\.genai\.Client"),
    ],
    ids=lambda each: type(each).__module__ if not isinstance(each, (str, type)) else None,
)
def test_an_adapter_refuses_what_it_can_t_wrap(adapter: Any, client: Any, said: str):
    with pytest.raises(UnknownClientError, match=said):
        adapter(client)


@pytest.mark.parametrize(
    "option",
    [
        {"forced_tool_choice": "yes"},
        {"max_tokens_field": "limit"},
        {"context_window": 0},
        {"context_window": "32k"},
    ],
)
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


@pytest.mark.parametrize("given", ["GroqClientAdapter(Groq(api_key='test'))", "Groq(api_key='test')"])
def test_only_the_adapter_in_use_is_loaded(given: str):
    script = (
        "import sys\n"
        "from groq import Groq\n"
        "from supercompat import GroqClientAdapter, supercompat\n"
        f"supercompat(client={given})\n"
        "print(*sorted(name for name in sys.modules if name.startswith('supercompat.client_adapters.')))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    loaded = {name.removeprefix("supercompat.client_adapters.") for name in done.stdout.split()}
    adapters = {row.adapter.partition(":")[0] for row in REGISTRY}
    assert {name.partition(".")[0] for name in loaded} & adapters == {"groq"}
    assert "chat" not in loaded
