"""What people read: tables in the terminal, figures, and pages of one self-contained HTML file.

Each module is imported by its own name, so that a table does not wait for matplotlib.
"""
