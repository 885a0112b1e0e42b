"""What every answer is made of: figures, tables, bars, sentences, charts and terms, as plain data."""
