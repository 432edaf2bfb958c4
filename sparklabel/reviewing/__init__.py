"""People's review of labels: a queue of rows, a journal of what people say, an app in the browser."""
