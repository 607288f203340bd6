"""Run texture-network models with ONNX Runtime: no torch, no onnx."""
