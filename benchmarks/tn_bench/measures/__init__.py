"""Measures of pictures: `quality` puts those of textures together, `stylization` is for styles."""
