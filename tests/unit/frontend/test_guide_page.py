"""The page Guide needs no gateway."""

import pytest

from services.frontend.words import VIEW_NAMES
from shared.masking import STUDY_VIEWS

from .opened import open_page


def test_the_guide_explains_the_views_and_shows_the_public_address(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("FRONTEND_PUBLIC_GATEWAY_URL", "https://halfface.example/api/")
    page = open_page("guide")
    assert "curl -F images=@face.jpg https://halfface.example/api/v1/predictions" in page.code[0].value
    assert "must not be used" in "".join(header.value for header in page.header)
    captions = [caption for image in page.image for caption in image.captions]
    assert captions == [VIEW_NAMES[view] for view in STUDY_VIEWS]
    assert not page.exception
