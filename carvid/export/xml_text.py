"""Text of any kind in XML 1.0, which cannot hold every character."""

from __future__ import annotations

import re
from xml.sax.saxutils import escape, quoteattr

_NOT_XML = re.compile("[^\\t\\n\\r\\x20-\\ud7ff\\ue000-\\ufffd\\U00010000-\\U0010ffff]")
"""What XML 1.0 cannot hold in any form."""


def xml_safe(text: str) -> str:
    """The text with U+FFFD for each character that XML cannot hold."""
    return _NOT_XML.sub("\ufffd", text)


def xml_text(text: str) -> str:
    """The text as the content of an element."""
    # A parser would turn a carriage return into a newline.
    return escape(xml_safe(text), {"\r": "&#13;"})


def xml_attribute(text: str) -> str:
    """The text as an attribute's value, quotes included."""
    return quoteattr(xml_safe(text))
