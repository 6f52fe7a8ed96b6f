"""matplotlib, imported where the first picture is drawn: a script that draws none does not wait for it."""


def pyplot():
    """matplotlib.pyplot; its pictures go to files, never to a screen."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    return pyplot
