"""What labels are made with, and what became of a video, as the database holds it."""

import os

from carvid.store.agreement import agree, register, settings_of
from carvid.store.ledger import Ledger
from carvid.store.status import read_status
from carvid.store.task import VideoRequest, as_text


def test_a_folder_of_weights_whose_name_is_not_utf8_can_be_recorded(tmp_path):
    settings = {"source": os.fsdecode(b"/weights/caf\xe9"), "query": "é"}
    with Ledger(tmp_path, "me") as ledger:
        assert agree(ledger, settings, "hash") is None
        assert settings_of(ledger) == settings


def test_a_video_whose_name_is_not_utf8_can_fail(tmp_path):
    name = os.fsdecode(b"/videos/caf\xe9.mp4")
    with Ledger(tmp_path, "me") as ledger:
        register(ledger, [VideoRequest(as_text(name), name, ("a dog",))])
        task = ledger.claim(60)
        assert task is not None
        assert task.source == name
        assert ledger.fail(task, f"{name} is not a video")
    assert read_status(tmp_path).failed == (("/videos/caf\\xe9.mp4", "/videos/caf\\xe9.mp4 is not a video"),)
