"""Which frames of a labelled dataset deserve a look."""

from carvid.review.ranking import ReviewSummary, review_dataset

__all__ = ["ReviewSummary", "review_dataset"]
