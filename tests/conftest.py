pytest_plugins = ["pytester", "tests.conformance.plugin"]
