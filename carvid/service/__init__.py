"""What other programs call: one image, jobs over videos, Label Studio's ML backend, and their description."""
