"""Parts that two or more families share, with one meaning each."""
