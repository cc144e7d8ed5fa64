"""Contact sheets of people, previews and differences."""
