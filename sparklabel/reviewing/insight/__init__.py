"""What people look at beside the rows: quality, and a task tried on rows."""
