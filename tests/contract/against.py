"""The contract tests as an oracle for any server: `pytest tests/contract --against http://127.0.0.1:8000/v1`.

The server under test has to ask the model that the tests script: its provider is OpenAI's wire at
`http://127.0.0.1:PORT/v1`, PORT being that of `--provider-port`.
"""

import pytest

HELP_PROVIDER = "where the scripted provider listens, with --against (default 8765)"


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("contract")
    group.addoption("--against", metavar="URL", help="test this server instead of our own clients")
    group.addoption("--provider-port", metavar="PORT", type=int, default=8765, help=HELP_PROVIDER)
