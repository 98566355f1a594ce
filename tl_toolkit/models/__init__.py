"""Networks: the ResNet family, its layers, and the assembled classifier."""
