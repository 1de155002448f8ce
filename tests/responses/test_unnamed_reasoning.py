"""Reasoning of a model whose name does not say that it reasons, as a deployment's on Azure."""

from supercompat.client_adapters.openai_responses.state import KEY, state_of

_CALL: dict[str, object] = {
    "type": "function_call",
    "id": "fc_1",
    "call_id": "call_1",
    "name": "look",
    "arguments": "{}",
}


def _kept(*, stored: bool, **reasoning: object) -> list[object]:
    thought: dict[str, object] = {"type": "reasoning", "id": "rs_1", "summary": [], **reasoning}
    return state_of("host", "resp_1", stored=stored, items=[thought, _CALL])[KEY]["items"]


def test_reasoning_that_is_only_an_id_is_not_kept_where_the_provider_keeps_nothing():
    assert _kept(stored=False) == [_CALL]


def test_reasoning_that_can_be_sent_again_is_kept():
    assert len(_kept(stored=True)) == 2
    assert len(_kept(stored=False, encrypted_content="x")) == 2
    assert len(_kept(stored=False, content=[{"type": "reasoning_text", "text": "hm"}])) == 2
