"""Tables and figures from result records: text, CSV, JSON, and one self-contained HTML page."""
