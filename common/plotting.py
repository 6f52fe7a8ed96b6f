"""matplotlib, imported where the first picture is drawn: a script that draws none does not wait for it."""

import io


def pyplot():
    """matplotlib.pyplot; its pictures go to files, never to a screen."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    return pyplot


def png_of(figure):
    """A figure as PNG in memory, bytes; it is closed."""
    png = io.BytesIO()
    figure.savefig(png, format="png", dpi=100)
    pyplot().close(figure)
    return png.getvalue()
