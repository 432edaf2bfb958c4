"""Who gets which row, what is shown with it, and what people did: one task while it is answered, in memory."""
