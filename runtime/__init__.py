"""How a record travels: poll, admit, settle, commit, trace; and the HTTP port."""
