"""A seeded mix of modalities, published and measured: `novix bench`."""
