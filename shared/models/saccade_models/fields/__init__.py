"""The fields of invoices and receipts, found by general rules: labels in five languages, positions, arithmetic."""

from saccade_models.fields.find import Fields, find_fields

__all__ = ["Fields", "find_fields"]
