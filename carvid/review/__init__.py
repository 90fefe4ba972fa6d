"""Which frames of a labelled dataset deserve a look."""

from carvid.review.review import ReviewSummary, review_dataset

__all__ = ["ReviewSummary", "review_dataset"]
