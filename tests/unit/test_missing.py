"""What is missing costs a person nothing but the test, and never goes unseen in CI."""

import json
from collections.abc import Callable

import pytest

from tests.missing import missing, needed

SKIPPED, FAILED = pytest.skip.Exception, pytest.fail.Exception
LACKS = [lambda: missing("The chromium is not there."), lambda: needed("a_package_that_nobody_made")]


@pytest.mark.parametrize("lacks", LACKS, ids=["a part", "a package"])
@pytest.mark.parametrize(("ci", "end"), [("", SKIPPED), ("true", FAILED)], ids=["a person", "CI"])
def test_a_test_that_lacks_something_is_skipped_for_a_person_and_fails_in_ci(
    ci: str, end: type[BaseException], lacks: Callable[[], object], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CI", ci)
    with pytest.raises((SKIPPED, FAILED), match="is not") as ended:  # either: the wrong one would end this test too
        lacks()
    assert ended.type is end


def test_a_package_that_is_there_is_given() -> None:
    assert needed("json") is json
