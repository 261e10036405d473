"""Neural networks as data: layers, presets, shapes and counts; building them in Keras; drawing them."""
