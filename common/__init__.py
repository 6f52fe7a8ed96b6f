"""What the scripts share and is no model: settings, start-up, errors, files, training runs, recovery loops, views."""
