"""What the scripts share and is no model: settings, start-up and errors, files, training runs, recovery loops, views."""
