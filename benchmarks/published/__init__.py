"""The published formulas written out, one file a block: what ours are timed against.

Each has the published module's state-dict keys and computes as its code does: affinities made,
maps permuted, gates expanded. They are held to the same numbers as ours by
`tests/attention/test_literal_forms.py`. A block whose two codes would be the same has no file.
"""
