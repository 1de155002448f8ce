pytest_plugins = ["pytester", "tests.conformance.plugin", "tests.contract.against"]
