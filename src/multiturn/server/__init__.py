"""The server: every official SDK, with state, in front of any model.

`app.create_app` makes the application, `app.serve` runs it. One module an API; what they share is in `doors`,
`exchange` and `service`."""
