"""What labels are made with, as the database holds it."""

import os

from carvid.store.agreement import agree, settings_of
from carvid.store.ledger import Ledger


def test_a_folder_of_weights_whose_name_is_not_utf8_can_be_recorded(tmp_path):
    settings = {"source": os.fsdecode(b"/weights/caf\xe9"), "query": "é"}
    with Ledger(tmp_path, "me") as ledger:
        assert agree(ledger, settings, "hash") is None
        assert settings_of(ledger) == settings
