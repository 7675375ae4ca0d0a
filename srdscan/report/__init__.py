"""What an audit leaves for its readers: `schema` (JSON), `html`, `markdown` and the `pictures` they show."""
