"""The library: content, its versions and files, previews, and links for customers."""
