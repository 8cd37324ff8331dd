"""What a row of the Hub, of the router or of Novix's own files says, as an entry of one catalogue. Pure."""
