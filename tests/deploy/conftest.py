from tests.helpers.exported_model import exported, sample, specialized  # noqa: F401 - fixtures
