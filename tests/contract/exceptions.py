"""Contract tests that say nothing about the other run adapter, each with the reason."""

from collections.abc import Mapping

#: By the beginning of the test's name.
WITH_RESPONSES: Mapping[str, str] = {
    "test_what_is_not_served_yet_is_refused": "files of hosted tools are served: tests/responses has them",
    "test_modify[sync-sync-sqlite-responses]": "files of hosted tools are served: tests/responses has them",
    "test_modify[async-async-postgresql-responses]": "files of hosted tools are served: tests/responses has them",
    "test_each_fault_has_its_code[sync-sync-sqlite-responses-finish reason error]": "there is no such status",
    "test_each_fault_has_its_code[async-async-postgresql-responses-finish reason error]": "there is no such status",
    "test_a_request_overrides": "this API refuses reasoning_effort for a model that does not reason",
    "test_a_run_keeps_what_it_was_made_of": "this API refuses reasoning_effort for a model that does not reason",
    "test_a_message_that_is_deleted_leaves_its_calls_in_place": "items are in no turns that could be told apart",
    "test_text_after_a_call_is_a_message_of_its_own": "items go back in the order in which they came",
}


def exception(test: str) -> str | None:
    """Why the test of this name is not held against `ResponsesRunAdapter`; None if it is."""
    return next((why for name, why in WITH_RESPONSES.items() if test.startswith(name)), None)
