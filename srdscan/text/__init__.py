"""Captions as text: their plain form and words (`plain`), and characters that do not show (`hidden`)."""
