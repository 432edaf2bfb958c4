"""The app in the browser: pages, an API, and who may reach them."""
