"""Predictions of trained models through TensorFlow Serving's protocol, without TensorFlow."""
