"""Which ONNX variants are there, and are they still the same model?"""
