"""Pictures that show people, previews and differences on one sheet."""
