"""What a finished run is for: classify new images, export the classifier, choose what to label."""
