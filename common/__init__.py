"""What the scripts share and is not a model: settings, files, progress."""
