"""Series of numbers enter; a chart leaves, as lines of text or as an SVG picture."""
