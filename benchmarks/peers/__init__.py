"""The same models as a user would write them without this package."""
