"""CVAT's auto-annotation: this module detects, `carvid.integrations.cvat.track` tracks.

cvat-cli task auto-annotate ID --function-module carvid.integrations.cvat -p queries=str:"the red car; a person"
"""

from carvid.integrations.cvat.detect import create

__all__ = ["create"]
