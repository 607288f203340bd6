"""Export trained generators to self-contained ONNX programs."""
